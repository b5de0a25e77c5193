"""Groups lie within a node, GPUs belong to one group, dead nodes are left and come back by proof."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.coordination.placement import Group, Place, Placement, Refused
from workbench.control.coordination.recovery import Recovery, Step

GROUPS = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3), st.booleans(), st.booleans()), max_size=14)


@given(nodes=st.lists(st.integers(1, 8), min_size=1, max_size=4), groups=GROUPS)
def test_a_gpu_belongs_to_one_group_and_a_stage_to_one_node(
    nodes: list[int], groups: list[tuple[int, int, bool, bool]]
) -> None:
    sizes = {f"n{i}": n for i, n in enumerate(nodes)}
    placement = Placement(sizes)
    placed: dict[str, tuple[Place, ...]] = {}
    for i, (tp, pp, spread, removes) in enumerate(groups):
        if removes and placed:
            gone = next(iter(placed))
            assert placement.remove(gone) == placed.pop(gone)
        before = {n: placement.free(n) for n in sizes}
        found = placement.place(Group(f"g{i}", tp, pp, spread=spread))
        if isinstance(found, Refused):
            assert {n: placement.free(n) for n in sizes} == before  # all or nothing
            fits = sum(free // tp if not spread else free >= tp for free in before.values())
            assert fits < pp  # refused only what does not fit
        else:
            placed[f"g{i}"] = found
            assert [len(p.gpus) for p in found] == [tp] * pp
            assert not spread or len({p.node for p in found}) == pp
            # best fit: no node with room was fuller than the first one chosen
            assert before[found[0].node] == min(free for free in before.values() if free >= tp)
        owned = [(p.node, gpu) for places in placed.values() for p in places for gpu in p.gpus]
        assert len(owned) == len(set(owned))
        for node, size in sizes.items():
            mine = [gpu for n, gpu in owned if n == node]
            assert set(mine) <= set(range(size))
            assert placement.free(node) == size - len(mine)


def test_best_fit_keeps_a_whole_node_for_a_large_group() -> None:
    placement = Placement({"a": 8, "b": 4})
    assert placement.place(Group("small", tp=2)) == (Place("b", (0, 1)),)
    assert placement.place(Group("large", tp=8)) == (Place("a", tuple(range(8))),)
    assert placement.place(Group("huge", tp=16)) == Refused("tp 16 is more than the 8 GPUs of the largest node")
    assert placement.place(Group("more", tp=2, pp=2)) == Refused("no node has 2 GPUs free for stage 1 of 2")
    with pytest.raises(ValueError, match="group small: is placed already"):
        placement.place(Group("small"))
    with pytest.raises(ValueError, match="group x: tp 0"):
        placement.place(Group("x", tp=0))
    with pytest.raises(ValueError, match=r"nodes\.c 0"):
        Placement({"c": 0})
    with pytest.raises(ValueError, match="group no: is not placed"):
        placement.remove("no")


def test_a_silent_nodes_groups_go_elsewhere_with_a_new_token_and_it_returns_after_probation() -> None:
    fleet = Recovery({"a": 4, "b": 4}, dead_after_ns=10, probation_ns=30)
    first = Step("started", "g", (Place("a", (0, 1, 2, 3)),), 1)
    assert fleet.start(0, Group("g", tp=4)) == (Step("waiting", "g"), first)
    fleet.heartbeat(5, "b")
    assert fleet.due_ns() == 10
    assert fleet.on_time(9) == ()
    assert fleet.on_time(10) == (
        Step("down", "a", why="no heartbeat"), Step("stopped", "g", (Place("a", (0, 1, 2, 3)),), why="a is down"),
        Step("waiting", "g"), Step("started", "g", (Place("b", (0, 1, 2, 3)),), 2),
    )
    started = [fleet.start(10, Group("h", tp=4))]
    assert started == [(Step("waiting", "h"),)]
    seen: list[tuple[int, Step]] = []
    for now_ns in range(11, 80):  # b always speaks; a from 20, with a gap of 10 at 40
        for node in ("b", "a") if 20 <= now_ns <= 40 or now_ns > 49 else ("b",):
            seen += [(now_ns, step) for step in fleet.heartbeat(now_ns, node)]
    assert seen == []  # the gap began its probation anew
    assert fleet.down == ("a",)
    assert fleet.heartbeat(80, "a") == (Step("up", "a"), Step("started", "h", (Place("a", (0, 1, 2, 3)),), 3))


def test_better_classes_first_and_small_ones_do_not_overtake_within_a_class() -> None:
    fleet = Recovery({"a": 4}, dead_after_ns=1000)
    fleet.start(0, Group("first", tp=3))
    fleet.start(0, Group("large", tp=4, priority=1))
    assert fleet.start(0, Group("small", tp=1, priority=1)) == (Step("waiting", "small"),)
    assert fleet.start(0, Group("other", tp=1, priority=2))[-1].what == "started"  # of another class it may
    assert fleet.waiting == ("large", "small")
    assert [s.subject for s in fleet.stop(1, "other")] == ["other"]
    assert [(s.what, s.subject) for s in fleet.stop(2, "first")] == [("stopped", "first"), ("started", "large")]
    assert fleet.stop(3, "small") == ()
    for call, message in (
        (lambda: fleet.stop(3, "small"), "group small: is not wanted"),
        (lambda: fleet.start(3, Group("large")), "group large: is wanted already"),
        (lambda: fleet.heartbeat(3, "z"), "node z: unknown; known: a"),
        (lambda: fleet.on_time(1), "clock went back from 3 to 1 ns"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


EVENTS = st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["beat", "beat", "start", "stop", "time"]),
                            st.integers(0, 20), st.integers(1, 4)), max_size=60)


@given(events=EVENTS)
def test_every_wanted_group_runs_on_live_nodes_or_waits_and_tokens_grow(
    events: list[tuple[int, str, int, int]]
) -> None:
    fleet, now_ns, wanted, heard = Recovery({"a": 4, "b": 2, "c": 4}, 10, 15), 0, set(), dict.fromkeys("abc", 0)
    tokens: list[int] = []
    for i, (step_ns, what, pick, size) in enumerate(events):
        now_ns += step_ns
        if what == "beat":
            steps = fleet.heartbeat(now_ns, "abc"[pick % 3])
            heard["abc"[pick % 3]] = now_ns
        elif what == "start":
            steps = fleet.start(now_ns, Group(f"g{i}", tp=size, priority=pick % 2))
            wanted.add(f"g{i}")
        elif what == "stop" and wanted:
            gone = sorted(wanted)[pick % len(wanted)]
            steps = fleet.stop(now_ns, gone)
            wanted.remove(gone)
        else:
            steps = fleet.on_time(now_ns)
        tokens += [s.token for s in steps if s.what == "started"]
        assert tokens == sorted(set(tokens))
        running = {g for n in "abc" for g in fleet.placement.on(n)}
        assert running | set(fleet.waiting) == wanted
        assert not running & set(fleet.waiting)
        assert {n for n in "abc" if now_ns - heard[n] >= 10} <= set(fleet.down)
        assert all(not fleet.placement.on(n) for n in fleet.down)
        assert (due_ns := fleet.due_ns()) is None or due_ns > now_ns
