"""Front door, queues, routers, registry and journal: what must hold whatever the events are."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.events import Arrived, Event, Left, Release, from_json, to_json
from workbench.control.front_door import FrontDoor
from workbench.control.journal import Entry, Journal, Setup, first_difference
from workbench.control.queues import Fcfs, ShortestFirst
from workbench.control.registry import POLICIES, UnknownPolicy, make
from workbench.control.routers import Candidate, LeastLoaded, RoundRobin

SETUPS = st.builds(
    Setup, queue=st.sampled_from(sorted(POLICIES["queue"])), router=st.sampled_from(sorted(POLICIES["router"])),
    replicas=st.integers(1, 4), window=st.none() | st.integers(1, 3),
)
# each number: an arrival of that work, or (below zero) somebody at a replica leaves
EVENTS = st.lists(st.integers(-3, 50), max_size=60)


def play(setup: Setup, script: Sequence[int]) -> tuple[Journal, FrontDoor]:
    """Events that can happen: only who was released leaves. Journal of what was decided."""
    door, entries, inside = setup.front_door(), list[Entry](), list[str]()
    for i, number in enumerate(script):
        if number < 0 and not inside:
            continue
        event: Event = Left(inside.pop(number % len(inside))) if number < 0 else Arrived(f"r{i}", number, number)
        decided = door.on(i // 2, event)
        inside += [release.request_id for release in decided]
        entries.append(Entry(i // 2, event, decided))
    return Journal(setup, entries), door


@given(SETUPS, EVENTS)
def test_nobody_is_lost_and_no_window_is_exceeded(setup: Setup, script: list[int]) -> None:
    journal, door = play(setup, script)
    arrived = [e.event.request_id for e in journal.entries if isinstance(e.event, Arrived)]
    released = [d.request_id for e in journal.entries for d in e.decisions]
    left = [e.event.request_id for e in journal.entries if isinstance(e.event, Left)]
    assert len(set(released)) == len(released)
    assert len(released) + len(door.queue) == len(arrived)
    assert sum(door.outstanding) == len(released) - len(left)
    if setup.window is None:
        assert len(door.queue) == 0
    else:
        assert max(door.outstanding) <= setup.window
        assert not len(door.queue) or min(door.outstanding) == setup.window  # nobody waits beside a free place


@given(SETUPS, EVENTS)
def test_a_journal_replays_to_the_same_decisions_also_from_its_text(setup: Setup, script: list[int]) -> None:
    journal, _ = play(setup, script)
    assert first_difference(journal) is None
    again = Journal.parse(list(journal.lines()))
    assert (again.setup, list(again.entries)) == (setup, list(journal.entries))


def test_mutant_another_policy_does_not_replay() -> None:
    journal, _ = play(Setup(router="least_loaded", replicas=3), [5, 5, 5, -1, 5, -2, 5, 5])
    assert first_difference(journal, Setup(router="round_robin", replicas=3).front_door()) is not None


@given(st.integers(1, 4), EVENTS)
def test_fcfs_releases_in_order_of_arrival(window: int, script: list[int]) -> None:
    journal, _ = play(Setup(window=window), script)
    arrived = [e.event.request_id for e in journal.entries if isinstance(e.event, Arrived)]
    released = [d.request_id for e in journal.entries for d in e.decisions]
    assert released == arrived[: len(released)]


def test_mutant_last_come_first_served_is_not_fcfs() -> None:
    class Lcfs(Fcfs):
        def pop(self, now_ns: int) -> Arrived:
            return self._waiting.pop()

    door = FrontDoor(Lcfs(), LeastLoaded(), replicas=1, window=1)
    for name in ("a", "b", "c"):
        door.on(0, Arrived(name, 1, 1))
    assert door.on(1, Left("a")) == (Release("c", 0),)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_shortest_first_is_a_stable_sort_by_estimate(estimates: list[int]) -> None:
    queue = ShortestFirst()
    for i, tok in enumerate(estimates):
        queue.push(0, Arrived(f"{i:02d}", 1, tok))
    got = [queue.pop(0) for _ in estimates]
    assert [r.request_id for r in got] == [f"{i:02d}" for i, _ in sorted(enumerate(estimates), key=lambda p: p[1])]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_least_loaded_never_picks_above_the_minimum(loads: list[int]) -> None:
    candidates = [Candidate(i, n) for i, n in enumerate(loads)]
    picked = LeastLoaded().pick(0, Arrived("a", 1, 1), candidates)
    assert loads[picked] == min(loads)
    assert picked == loads.index(min(loads))


@given(st.integers(1, 6), EVENTS)
def test_least_loaded_without_departures_keeps_replicas_within_one(replicas: int, script: list[int]) -> None:
    _, door = play(Setup(replicas=replicas), [abs(number) for number in script])
    assert max(door.outstanding) - min(door.outstanding) <= 1


def test_round_robin_takes_turns_and_passes_over_who_is_full() -> None:
    router, request = RoundRobin(), Arrived("a", 1, 1)
    everyone = [Candidate(i, 0) for i in range(3)]
    assert [router.pick(0, request, everyone) for _ in range(4)] == [0, 1, 2, 0]
    assert router.pick(0, request, [everyone[0], everyone[2]]) == 2
    assert router.pick(0, request, everyone) == 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: make("queue", "fcsf"), "did you mean 'fcfs'"),
        (lambda: make("router", "zzz"), "known: least_loaded, round_robin"),
        (lambda: make("queue", "fcfs", {"depth": 3}), "has no parameters"),
        (lambda: Setup(replicas=0).front_door(), "replicas 0"),
        (lambda: Setup(window=0).front_door(), "window 0"),
        (lambda: Setup().front_door().on(1, Left("ghost")), "ghost left"),
        (lambda: Journal.parse([]), "empty"),
        (lambda: Journal.parse(['{"kind": "workbench.journal", "schema": 2}']), "this version reads 1 to 1"),
        (lambda: Journal.parse(['{"kind": "x"}']), "not a journal"),
        (lambda: Journal.parse([*Journal(Setup(), []).lines(), '{"now_ns": 1, "event": {"kind": "Eh"}}']), "line 2"),
        (lambda: from_json({"kind": "left", "who": "a"}), "left:"),
    ],
)
def test_wrong_input_is_one_clear_line(call: object, told: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=told):
        call()
    assert issubclass(UnknownPolicy, ValueError)


def test_the_clock_never_goes_back() -> None:
    door = Setup().front_door()
    door.on(5, Arrived("a", 1, 1))
    with pytest.raises(ValueError, match="went back from 5 to 4"):
        door.on(4, Arrived("b", 1, 1))


def test_an_estimate_is_all_that_a_policy_sees() -> None:
    """The event has no field for the true output length, so no policy can read it."""
    assert set(to_json(Arrived("a", 1, 2))) == {"kind", "request_id", "prompt_tok", "estimated_tok", "tenant", "tier"}


def test_a_router_that_breaks_the_window_is_refused() -> None:
    class AlwaysFirst:
        def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:
            return 0

    door = Setup("fcfs", "least_loaded", 2, 1).front_door()
    door.router = AlwaysFirst()
    assert door.on(0, Arrived("a", 1, 1))
    with pytest.raises(ValueError, match="picked replica 0, which is none of its candidates"):
        door.on(0, Arrived("b", 1, 1))
