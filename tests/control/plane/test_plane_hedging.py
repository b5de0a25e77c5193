"""A second attempt: never after the first byte, charged once, and no end while the other one runs."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played import EVERYTHING, SECOND, Play, played

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Arrived,
    Cancel,
    Charge,
    Finish,
    FirstToken,
    Gone,
    Left,
    Progress,
    Release,
    ReplicaDown,
    Time,
    Wake,
)
from workbench.control.plane.plane import ControlPlane

EAGER = {"quantile_ppm": 500_000, "share_ppm": 1_000_000, "least_seen": 1, "window": 1}
PRICES = {"prices": [{"model": "*", "kind": kind, "flat": price} for kind, price in (("input", 2), ("output", 3))]}
OTHER = "another attempt answered first"


def hedging(**facts: Any) -> ControlPlane:
    """Whoever waits longer than 10 ns for a first byte gets a second attempt."""
    plane = plane_of({"replicas": 3, "hedging": EAGER, "billing": PRICES, "allocator": {"capacity": 1000},
                      "scheduling": "vtc", **facts})
    plane.on(0, Arrived("seen", prompt_tok=1))
    plane.on(10, FirstToken("seen", 1))
    plane.on(10, Left("seen", 1, "ok", 1, 0, 1))
    return plane


def racing(**facts: Any) -> ControlPlane:
    """`a` has two attempts: at replica 1 since 20, at replica 2 since 30."""
    plane = hedging(**facts)
    assert plane.on(20, Arrived("a", prompt_tok=10)) == (Release("a", 1, 1, ""), Wake(30))
    assert plane.on(30, Time()) == (Release("a", 2, 2, ""),)
    plane.check()
    return plane


@pytest.mark.parametrize("wins", [1, 2])
def test_the_first_byte_wins_and_the_other_is_cancelled(wins: int) -> None:
    plane, loses = racing(), 3 - wins
    assert plane.on(40, FirstToken("a", wins)) == (Cancel("a", loses, loses, OTHER),)
    plane.check()
    assert plane.on(41, FirstToken("a", loses)) == (), "told late"
    assert plane.on(50, Left("a", wins, "ok", 10, 0, 5)) == (Charge("a", "default", 35, 0), Finish("a", "ok", "", 2))
    assert plane.on(51, Left("a", loses, "ok", 10, 0, 5)) == (), "told late: nothing is charged twice"
    plane.check()
    assert plane.desk.fleet.outstanding == len(plane.desk.allocator) == 0  # type: ignore[arg-type]


def test_progress_says_the_first_byte_is_out_too() -> None:
    plane = racing()
    assert plane.on(40, Progress("a", 2, 3)) == (Cancel("a", 1, 1, OTHER),)
    assert plane.on(41, Gone("a")) == (
        Cancel("a", 2, 2, "the client gave up"), Charge("a", "default", 29, 0),
        Finish("a", "cancelled", "the client gave up", 2))


def test_whoever_is_over_first_wins_where_no_first_token_was_told() -> None:
    plane = racing()
    assert plane.on(40, Left("a", 2, "ok", 10, 0, 5)) == (
        Cancel("a", 1, 1, OTHER), Charge("a", "default", 35, 0), Finish("a", "ok", "", 2))
    plane.check()


@pytest.mark.parametrize("fails", [1, 2])
def test_an_attempt_that_fails_while_the_other_runs_is_no_end(fails: int) -> None:
    plane, lives = racing(retries={"wait_ns": 5, "most_wait_ns": 5}), 3 - fails
    assert plane.on(40, Left("a", fails, "failure")) == ()
    plane.check()
    assert plane.on(41, FirstToken("a", lives)) == ()
    assert plane.on(50, Left("a", lives, "ok", 10, 0, 5))[-1] == Finish("a", "ok", "", 2)
    plane.check()


def test_when_both_fail_it_is_retried_elsewhere_and_not_hedged_again() -> None:
    plane = racing(retries={"wait_ns": 5, "most_wait_ns": 5})
    plane.on(40, Left("a", 1, "failure"))
    [wake] = plane.on(41, Left("a", 2, "failure"))
    assert isinstance(wake, Wake)
    assert plane.on(wake.at_ns, Time()) == (Release("a", 3, 0, ""),)
    assert plane.due_ns() is None
    plane.check()


def test_after_the_first_byte_there_is_no_second_attempt() -> None:
    plane = hedging()
    plane.on(20, Arrived("a"))
    plane.on(29, FirstToken("a", 1))
    assert plane.on(30, Time()) == ()
    assert plane.desk.tally.hedges == 0


def test_who_waits_goes_before_a_second_attempt() -> None:
    plane = hedging(window=1)
    for name in ("a", "b", "c"):
        plane.on(20, Arrived(name))
    assert plane.on(21, Arrived("d")) == ()
    assert plane.on(30, Left("a", 1))[:2] == (Finish("a", "ok", "", 1), Release("d", 1, 1, "")), "the place is d's"
    assert plane.desk.tally.hedges == 0


def test_without_memory_or_a_replica_elsewhere_there_is_none() -> None:
    for facts, more in (({"allocator": {"capacity": 19}}, ()), ({"replicas": 2}, (ReplicaDown(0),))):
        plane = hedging(**facts)
        for event in more:
            plane.on(15, event)
        plane.on(20, Arrived("a", prompt_tok=10))
        assert plane.on(30, Time()) == ()
        plane.check()


def test_a_second_attempt_takes_no_memory_that_somebody_waits_for() -> None:
    plane = hedging(allocator={"capacity": 100})
    plane.on(20, Arrived("a", prompt_tok=29))
    plane.on(21, Arrived("big", prompt_tok=79))
    assert plane.on(30, Time()) == ()
    assert Release("big", 1, 2, "") in plane.on(40, Left("a", 1, "failure"))


@pytest.mark.parametrize("hedged", [False, True])
def test_a_second_attempt_that_fails_too_costs_no_retry(hedged: bool) -> None:
    plane = racing(retries={"most": 2}) if hedged else hedging(retries={"most": 2})
    if not hedged:
        plane.on(20, Arrived("a", prompt_tok=10))
    last = [plane.on(40 + attempt, Left("a", attempt, "failure")) for attempt in range(1, 2 + hedged)][-1]
    assert [type(one) for one in last] == [Wake], "one round of two is over: there is another"
    [again] = [one for one in plane.on(last[0].at_ns, Time()) if isinstance(one, Release)]  # type: ignore[union-attr]
    [finish] = plane.on(last[0].at_ns + 1, Left("a", again.attempt, "failure"))  # type: ignore[union-attr]
    assert finish.reason == "failure; 2 attempts"  # type: ignore[union-attr]


def test_a_plan_without_hedging_has_none() -> None:
    tiers = {"x": {"flags": {"hedging": True}}, "y": {}}
    plane = hedging(tenants={"tiers": tiers, "tenants": {"a": {"tier": "x"}, "b": {"tier": "y"}},
                             "default_tier": "x"})
    assert plane.on(20, Arrived("1", "b")) == (Release("1", 1, 1, ""),)
    assert Wake(30) in plane.on(20, Arrived("2", "a"))


RACES: dict[str, Any] = {
    **EVERYTHING, "hedging": {"quantile_ppm": 300_000, "share_ppm": 800_000, "least_seen": 2, "window": 9},
    "retries": {"ratio_ppm": 800_000, "wait_ns": SECOND // 50, "most_wait_ns": SECOND // 10},
    "ejection": {"failures": 2, "base_ns": SECOND // 5, "most_ns": SECOND, "most_ppm": 500_000},
    "tenants": {"tiers": {"free": {"weight": 1, "priority": 1, "deadline_ns": 3 * SECOND, "waiting": 6,
                                   "concurrent": 3, "flags": {"hedging": True}},
                          "gold": {"weight": 4, "replicas": "tier", "flags": {"hedging": True}}},
                "tenants": {"a": {"tier": "free"}, "b": {"tier": "free", "concurrent": 2}, "c": {"tier": "gold"}}},
}


def delivered(play: Play) -> None:
    """One first byte at most, one charge at most, and never two attempts at one replica or after a first byte."""
    out: dict[str, dict[int, int]] = {}
    first: set[str] = set()
    charged: set[str] = set()
    for entry in play.entries:
        event = entry.event
        if isinstance(event, (FirstToken, Progress)) and event.attempt in out.get(event.request_id, {}):
            first.add(event.request_id)
        if isinstance(event, Left):
            out.get(event.request_id, {}).pop(event.attempt, None)
        for one in entry.decisions:
            if isinstance(one, Release):
                there = out.setdefault(one.request_id, {})
                assert one.request_id not in first
                assert one.replica not in there.values()
                there[one.attempt] = one.replica
                assert len(there) <= 2
            elif isinstance(one, Cancel):
                del out[one.request_id][one.attempt]
            elif isinstance(one, Charge):
                assert one.request_id not in charged
                charged.add(one.request_id)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.sampled_from(["wfq", "vtc", "drr", "edf", "fifo"]), preempt=st.booleans())
def test_each_request_ends_once_with_hedging_retries_failures_and_cancels(seed: int, order: str, preempt: bool) -> None:
    scheduling: Any = {"name": "edf", "parameters": {"preempt": True}} if preempt else order
    found = played({**RACES, "scheduling": scheduling}, seed, 150)  # check() after every event
    assert not found.inside
    delivered(found)
    assert found.plane.desk.allocator.books.reserved == 0  # type: ignore[union-attr]
    assert not found.plane.desk.hedging._open  # type: ignore[union-attr]
    assert not found.plane.desk.running.out  # type: ignore[union-attr]


def test_the_races_are_run() -> None:
    found = played(RACES, 3, 2000, checked=False)
    tally = found.plane.desk.tally
    assert tally.hedges > 10
    assert any(isinstance(one, Cancel) and one.why == OTHER for entry in found.entries for one in entry.decisions)
    delivered(found)
