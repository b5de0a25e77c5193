"""Who cannot go holds up nobody: pools of several models, tenants with a bound, replicas that fail."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played import SECOND, Play

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Arrived,
    Cancel,
    Finish,
    Left,
    Release,
    ReplicaDown,
    ReplicaUp,
    Time,
    Wake,
)
from workbench.control.plane.plane import ControlPlane

ORDERS = ("fifo", "priority", "edf", "wfq", "vtc", "drr")
MIXED: dict[str, Any] = {
    "window": 2, "replicas": [{"models": ["m", "n"]}, {"models": ["m"]}, {"models": ["n"]}, {"models": ["o"]}],
    "retries": {"ratio_ppm": 500_000}, "allocator": {"capacity": 900},
    "breaker": {"failures": 3, "window": 5, "open_ns": SECOND // 5},
    "ejection": {"failures": 2, "base_ns": SECOND // 5, "most_ns": SECOND, "most_ppm": 500_000},
    "tenants": {"tiers": {"x": {"concurrent": 3}, "y": {}}, "tenants": {"a": {"tier": "x"}, "b": {"tier": "y"},
                                                                         "c": {"tier": "x", "concurrent": 1}}},
    "queue": {"limit": 30},
}


class Conserving(Play):
    """After every event: nobody waits who could go, but for memory; and no tenant has more out than its bound."""

    def tell(self, event: Any) -> None:
        super().tell(event)
        desk, out = self.plane.desk, dict[str, int]()
        for state in desk.inside.values():
            out[state.item.tenant] = out.get(state.item.tenant, 0) + len(state.out)
        assert out.get("a", 0) <= 3
        assert out.get("c", 0) <= 1
        [line] = desk.lines.values()
        able = desk.fleet.candidates(self.now_ns, line.pool)
        if line.held is not None:  # for memory, which is everybody's: its model has a place, or nobody's has
            assert not able or any(desk.fleet.can(one.replica, line.held.item.model) for one in able)
            return
        for state in desk.inside.values():
            if state.place == "queued" and desk.running.may(state.item.tenant):  # type: ignore[union-attr]
                assert not [one for one in able if desk.fleet.can(one.replica, state.item.model)], state

    def arrive(self) -> None:
        rng = self.rng
        self.count += 1
        name = f"r{self.count}"
        self.inside[name] = None
        self.tell(Arrived(
            name, rng.choice("abc"), model=rng.choice("mno"), prompt_tok=rng.randint(1, 200),
            estimated_tok=rng.randint(1, 100), priority=rng.randint(0, 2),
            deadline_ns=rng.choice([None, self.now_ns + rng.randint(0, 2 * SECOND)])))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.sampled_from(ORDERS), preempt=st.booleans())
def test_nobody_waits_while_a_replica_that_serves_its_model_has_a_place(seed: int, order: str, preempt: bool) -> None:
    scheduling: Any = {"name": "edf", "parameters": {"preempt": True}} if preempt else order
    play = Conserving({**MIXED, "scheduling": scheduling}, seed)
    for _ in range(150):
        play.step()
    play.drain()
    assert not play.inside


def mixed(**facts: Any) -> ControlPlane:
    return plane_of({"window": 1, "replicas": [{"models": ["m"]}, {"models": ["n"]}], **facts})


@pytest.mark.parametrize("order", ORDERS)
def test_who_needs_a_busy_model_holds_up_nobody(order: str) -> None:
    plane = mixed(scheduling=order)
    plane.on(0, Arrived("m1", model="m"))
    for i in range(5):
        assert plane.on(1, Arrived(f"m2{i}", model="m")) == ()
    assert plane.on(2, Arrived("n1", model="n")) == (Release("n1", 1, 1, "n"),)
    assert plane.on(3, ReplicaDown(1)) == ()
    assert plane.on(4, Left("m1", 1))[1] == Release("m20", 1, 0, "m")
    plane.check()


def test_a_place_is_taken_back_only_where_the_next_can_use_it() -> None:
    plane = mixed(scheduling={"name": "edf", "parameters": {"preempt": True}})
    plane.on(0, Arrived("m1", model="m", deadline_ns=90_000))
    plane.on(0, Arrived("n1", model="n", deadline_ns=99_000))
    found = [one for one in plane.on(1, Arrived("m2", model="m", deadline_ns=100)) if not isinstance(one, Wake)]
    assert found == [Cancel("m1", 1, 0, "preempted"), Release("m2", 1, 0, "m")], "n1 is later, but of no use"
    plane.check()


def test_nobody_is_preempted_for_a_replica_that_takes_nobody() -> None:
    plane = mixed(scheduling={"name": "edf", "parameters": {"preempt": True}})
    plane.on(0, Arrived("m1", model="m", deadline_ns=90_000))
    plane.on(1, ReplicaDown(0))
    assert [one for one in plane.on(2, Arrived("m2", model="m", deadline_ns=100)) if not isinstance(one, Wake)] == []


def test_a_tenant_at_its_bound_holds_up_no_other() -> None:
    tenants = {"tiers": {"x": {"concurrent": 2}, "y": {}}, "tenants": {"a": {"tier": "x"}, "b": {"tier": "y"}}}
    plane = plane_of({"replicas": 4, "tenants": tenants})
    released = [[one.request_id for one in plane.on(0, Arrived(f"{tenant}{i}", tenant)) if isinstance(one, Release)]
                for i, tenant in enumerate("aaaab")]
    assert released == [["a0"], ["a1"], [], [], ["b4"]]
    assert plane.on(1, Left("a0", 1))[1] == Release("a2", 1, 3, "")
    plane.check()


def test_who_fails_in_a_row_is_left_alone_for_a_while_but_never_the_last() -> None:
    plane = plane_of({"replicas": 2, "window": 1, "ejection": {"failures": 2, "base_ns": 100, "most_ns": 100}})
    for i in range(2):
        plane.on(i, Arrived(f"other{i}"))
        plane.on(i, Arrived(f"bad{i}"))
        bad = plane.desk.inside[f"bad{i}"].out[1]
        plane.on(i, Left(f"bad{i}", 1, "failure" if bad == 1 else "ok"))
        plane.on(i, Left(f"other{i}", 1, "ok" if bad == 1 else "failure"))
    assert plane.on(10, Arrived("a")) == (Release("a", 1, 0, ""),)
    assert plane.on(10, Arrived("b")) == (Wake(101),), "replica 1 is ejected until then"
    assert plane.on(101, Time()) == (Release("b", 1, 1, ""),)
    alone = plane_of({"replicas": 1, "ejection": {"failures": 1, "base_ns": 100, "most_ns": 100}})
    for i in range(5):
        assert alone.on(i, Arrived(f"a{i}")) == (Release(f"a{i}", 1, 0, ""),)
        assert alone.on(i, Left(f"a{i}", 1, "failure")) == (Finish(f"a{i}", "error", "failure", 1),)


def test_nobodys_last_replica_of_a_model_is_ejected() -> None:
    plane = mixed(ejection={"failures": 1, "base_ns": 100, "most_ns": 100})
    for i in range(3):
        assert plane.on(i, Arrived(f"a{i}", model="m")) == (Release(f"a{i}", 1, 0, "m"),)
        plane.on(i, Left(f"a{i}", 1, "failure"))


def test_one_that_is_ejected_is_asked_when_all_others_go_down() -> None:
    plane = plane_of({"replicas": 3, "ejection": {"failures": 1, "base_ns": 100, "most_ns": 100}})
    assert plane.on(0, Arrived("a")) == (Release("a", 1, 0, ""),)
    plane.on(1, Left("a", 1, "failure"))
    plane.on(2, ReplicaDown(1))
    assert plane.on(3, Arrived("b")) == (Release("b", 1, 2, ""),), "there is another one yet"
    plane.on(4, ReplicaDown(2))
    assert plane.on(5, Arrived("c")) == (Release("c", 1, 0, ""),)


def test_models_that_no_replica_names_are_kept_as_one() -> None:
    plane = plane_of({"replicas": [{"models": ["m"]}, {}], "window": 1})
    for i in range(9):
        plane.on(i, Arrived(f"r{i}", model=f"m{i}"))
    gate = plane.desk.lines["shared"].gate
    assert gate is not None
    assert len(gate._serving) == 1
    assert [one.replica for one in plane.on(10, Arrived("a", model="m")) if isinstance(one, Release)] == [0]


class Own:
    """An order of the user's own, which cannot pass anybody over."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def push(self, now_ns: int, item: Any) -> None:
        self.items.append(item)

    def pop(self, now_ns: int) -> Any:
        return self.items.pop(0)

    def charge(self, now_ns: int, request_id: str, prompt_tok: int, output_tok: int, done: bool = True) -> None:
        pass

    def waiting(self, tenant: str) -> int:
        return sum(item.tenant == tenant for item in self.items)


def test_an_order_that_cannot_pass_over_holds_up_the_rest_and_still_keeps_the_bounds() -> None:
    plane = plane_of({"window": 1, "replicas": [{"models": ["m"]}, {"models": ["n"]}, {}],
                      "tenants": {"tiers": {"x": {"concurrent": 1}}, "tenants": {}, "default_tier": "x"}},
                     {"scheduling": Own})
    assert plane.on(0, Arrived("a", model="m")) == (Release("a", 1, 0, "m"),)
    assert plane.on(0, Arrived("b", model="n")) == ()
    assert plane.on(0, Arrived("c", "other", model="n")) == ()
    assert plane.on(1, Left("a", 1)) == (Finish("a", "ok", "", 1), Release("b", 1, 1, "n"), Release("c", 1, 2, "n"))
    plane.check()
    assert plane.on(2, ReplicaUp(0)) == ()


def test_a_place_for_others_is_not_kept_by_who_waits_for_memory() -> None:
    plane = plane_of({"window": 1, "replicas": [{"models": ["m"]}, {"models": ["n"]}, {"models": ["n"]}],
                      "allocator": {"capacity": 100}})
    plane.on(0, Arrived("n1", model="n", prompt_tok=60))
    assert plane.on(1, Arrived("m1", model="m", prompt_tok=60)) == (), "no memory: nobody goes before it"
    assert plane.on(1, Arrived("n2", model="n", prompt_tok=10)) == ()
    plane.on(2, ReplicaDown(0))
    assert plane.on(3, Arrived("n3", model="n", prompt_tok=10)) == (), "the place is taken by n2"
    assert plane.desk.inside["m1"].place == "queued", "it waits for its model's replica, and no more for memory"
    assert plane.desk.inside["n2"].out == {1: 2}
    plane.check()
