"""The plane as a whole: nobody is lost, each ends once, and what the steps promise together."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played import ENDS, EVERYTHING, SECOND, played

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Answer,
    Arrived,
    Cancel,
    Charge,
    Finish,
    FirstToken,
    Gone,
    Left,
    Progress,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Time,
    Wake,
)
from workbench.control.plane.plane import ControlPlane

RETRY = {"retries": {"wait_ns": 10, "most_wait_ns": 10}}


def plane(**facts: Any) -> ControlPlane:
    return plane_of(facts)


def names(decisions: Any) -> list[tuple[str, str]]:
    return [(type(one).__name__, one.request_id) for one in decisions if not isinstance(one, Wake)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.sampled_from(["wfq", "vtc", "drr", "edf", "ageing", "fifo"]))
def test_everybody_ends_exactly_once_and_nothing_is_lost(seed: int, order: str) -> None:
    found = played({**EVERYTHING, "scheduling": order}, seed, 150)  # checks conservation at every event
    assert not found.inside
    tally = found.plane.desk.tally
    assert tally.arrived == found.count == len(found.ended) == tally.ended
    assert not found.plane.desk.limits.open  # type: ignore[union-attr]
    assert found.plane.desk.allocator.books.reserved == 0  # type: ignore[union-attr]


def test_the_play_reaches_every_step() -> None:
    found = played(EVERYTHING, 3, 3000, checked=False)
    kinds = {type(one) for entry in found.entries for one in entry.decisions}
    assert kinds == {Reject, Answer, Release, Cancel, Finish, Charge, Wake}
    tally = found.plane.desk.tally
    assert min(tally.answered, tally.rejected, tally.shed, tally.expired, tally.ok, tally.error, tally.cancelled) > 0
    assert any(entry.attempts > 1 for entry in found.ended.values() if isinstance(entry, Finish))


def test_a_plain_one_serves_in_order_of_arrival_within_the_window() -> None:
    one = plane(replicas=2, window=1)
    assert names(one.on(0, Arrived("a"))) == [("Release", "a")]
    assert one.on(0, Arrived("b")) == (Release("b", 1, 1, ""),)
    assert one.on(1, Arrived("c")) == ()
    assert one.on(2, Arrived("d")) == ()
    assert one.on(3, Left("b", 1)) == (Finish("b", "ok", "", 1), Release("c", 1, 1, ""))
    assert one.on(4, Gone("d")) == (Finish("d", "cancelled", "the client gave up", 0),)
    assert names(one.on(4, Gone("a"))) == [("Cancel", "a"), ("Finish", "a")]
    one.check()


def test_an_answer_is_computed_once_for_all_who_ask_and_kept() -> None:
    one = plane(cache={"capacity_bytes": 100, "ttl_ns": 1000})
    assert names(one.on(0, Arrived("a", "t", cache="q"))) == [("Release", "a")]
    assert one.on(1, Arrived("b", "t", cache="q")) == ()
    assert names(one.on(1, Arrived("c", "other", cache="q"))) == [("Release", "c")], "scope: another tenant"
    assert one.on(2, Left("a", 1, "ok", 1, 0, 3)) == (Finish("a", "ok", "", 1), Answer("b", "flight", "a"))
    assert one.on(3, Arrived("d", "t", cache="q")) == (Answer("d", "cache", "a"),)
    assert names(one.on(1002, Arrived("e", "t", cache="q"))) == [("Release", "e")], "expired"


def test_a_failed_leader_leaves_its_flight_to_the_next() -> None:
    one = plane(cache={"capacity_bytes": 100, "ttl_ns": 1000}, queue={"limit": 1}, window=1)
    one.on(0, Arrived("a", cache="q"))
    for name in ("b", "c", "d"):
        assert one.on(1, Arrived(name, cache="q")) == ()
    one.on(1, Arrived("x"))  # the only place in the queue
    found = one.on(2, Left("a", 1, "failure", error="broken"))
    assert names(found) == [("Finish", "a"), ("Reject", "b"), ("Reject", "c"), ("Reject", "d"), ("Release", "x")]
    one.check()


def test_after_the_first_byte_nothing_is_retried() -> None:
    for first in (False, True):
        one = plane(replicas=2, **RETRY)
        one.on(0, Arrived("a"))
        if first:
            one.on(1, FirstToken("a", 1))
        found = one.on(2, Left("a", 1, "failure", error="broken"))
        if first:
            assert found == (Finish("a", "error", "broken; the first byte is out", 1),)
        else:
            [wake] = found
            assert isinstance(wake, Wake)
            assert one.on(wake.at_ns, Time()) == (Release("a", 2, 1, ""),), "elsewhere than where it failed"
        one.check()


def test_preemption_takes_a_place_back_only_before_the_first_byte() -> None:
    for first in (False, True):
        one = plane(window=1, scheduling={"name": "edf", "parameters": {"preempt": True}})
        one.on(0, Arrived("slow", deadline_ns=10_000))
        if first:
            one.on(1, FirstToken("slow", 1))
        found = [item for item in one.on(2, Arrived("urgent", deadline_ns=100)) if not isinstance(item, Wake)]
        assert found == ([] if first else [Cancel("slow", 1, 0, "preempted"), Release("urgent", 1, 0, "")])
        one.check()


def test_a_deadline_ends_whoever_waits_to_the_nanosecond() -> None:
    one = plane(window=1)
    one.on(0, Arrived("a"))
    assert one.on(0, Arrived("b", deadline_ns=50)) == (Wake(51),)
    assert one.on(50, Time()) == ()
    assert one.on(51, Time()) == (Reject("b", "expired", 504, "deadline passed"),)


def test_a_follower_has_its_own_deadline() -> None:
    one = plane(cache={"capacity_bytes": 100, "ttl_ns": 1000})
    one.on(0, Arrived("a", cache="q"))
    assert one.on(0, Arrived("b", cache="q", deadline_ns=50)) == (Wake(51),)
    assert one.on(51, Time()) == (Reject("b", "expired", 504, "deadline passed"),)
    assert one.on(60, Left("a", 1, "ok", 1, 0, 1)) == (Finish("a", "ok", "", 1),)


def test_nobody_is_sent_to_a_replica_that_is_down() -> None:
    one = plane(replicas=2)
    assert one.on(0, ReplicaDown(0)) == ()
    assert one.on(1, Arrived("a")) == (Release("a", 1, 1, ""),)
    one.on(2, ReplicaDown(1))
    assert one.on(3, Arrived("b")) == ()
    assert one.on(4, ReplicaUp(0)) == (Release("b", 1, 0, ""),)


def test_an_open_circuit_wakes_the_plane_for_its_probe() -> None:
    one = plane(breaker={"failures": 1, "window": 1, "open_ns": 100})
    one.on(0, Arrived("a"))
    one.on(1, Left("a", 1, "failure"))
    assert one.on(2, Arrived("b")) == (Wake(101),)
    assert one.on(101, Time()) == (Release("b", 1, 0, ""),)


def test_limits_are_reserved_then_committed_or_given_back() -> None:
    level = {"name": "tenant", "parameters": {"amount": 100, "per_ns": SECOND}}
    one = plane(limits={"levels": [level]})
    assert names(one.on(0, Arrived("a", prompt_tok=40, estimated_tok=1, max_tok=60))) == [("Release", "a")]
    [refused] = one.on(0, Arrived("b", prompt_tok=1))
    assert refused == Reject("b", "rejected", 429, "limit: tenant", 20_000_000)
    one.on(0, Left("a", 1, "ok", 40, 0, 10))  # 50 of 100 were reserved in vain
    assert names(one.on(0, Arrived("c", prompt_tok=40, estimated_tok=10))) == [("Release", "c")]
    assert names(one.on(0, Gone("c"))) == [("Cancel", "c"), ("Finish", "c")]  # without a byte: all is given back
    assert names(one.on(0, Arrived("d", prompt_tok=40, estimated_tok=10))) == [("Release", "d")]


def test_money_is_what_the_client_got() -> None:
    prices = [{"model": "*", "kind": kind, "flat": price} for kind, price in (("input", 2), ("output", 3))]
    one = plane(billing={"prices": prices})
    one.on(0, Arrived("a", "t", prompt_tok=10))
    assert one.on(1, Left("a", 1, "ok", 10, 4, 5))[0] == Charge("a", "t", 10 * 2 + 5 * 3, 0)
    one.on(2, Arrived("b"))
    assert one.on(3, Left("b", 1, "failure", 10, 0, 0)) == (Finish("b", "error", "failure", 1),)
    one.check()


def test_who_has_a_part_of_an_answer_pays_for_that_part() -> None:
    prices = [{"model": "*", "kind": kind, "flat": price} for kind, price in (("input", 2), ("output", 3))]
    one = plane(billing={"prices": prices})
    for name, told, said, paid in (("a", 0, 4, 4), ("b", 6, 4, 6), ("c", 0, 0, 1)):
        one.on(0, Arrived(name, "t", prompt_tok=10))
        one.on(0, FirstToken(name, 1))
        one.on(0, Progress(name, 1, told))
        assert one.on(0, Left(name, 1, "failure", output_tok=said))[0] == Charge(name, "t", 20 + 3 * paid, 0)
    one.on(0, Arrived("d", "t"))
    assert one.on(0, Left("d", 1, "failure", output_tok=9)) == (Finish("d", "error", "failure", 1),), "no byte came"


def test_an_id_that_is_used_again_is_charged_again() -> None:
    prices = [{"model": "*", "kind": kind, "flat": price} for kind, price in (("input", 2), ("output", 3))]
    one = plane(billing={"prices": prices})
    for i in range(3):
        one.on(2 * i, Arrived("a", "t"))
        assert one.on(2 * i + 1, Left("a", 1, "ok", 10, 0, 5 + i))[0] == Charge("a", "t", 35 + 3 * i, 0)
        one.check()
    assert one.desk.tally.unpriced == 0


def test_who_is_not_known_spoils_nobodys_attainment() -> None:
    one = plane(auth={"keys": [{"digest": "d", "tenant": "a"}]}, tenants="standard", sla={"window_ns": 60 * SECOND})
    for i in range(5):
        [refused] = one.on(i, Arrived(f"r{i}", tier="enterprise", key="wrong"))
        assert refused.status == 401
    assert one.desk.sla is not None
    assert one.desk.sla.attained(5, "enterprise").total == 0


def test_what_no_price_covers_is_told_and_counted() -> None:
    one = plane(billing={"prices": [{"model": "m", "kind": "input", "flat": 1}]})
    one.on(0, Arrived("a", model="m"))
    [finish] = one.on(1, Left("a", 1, "ok", 1, 0, 1))
    assert finish.reason.startswith("not charged: no price for output tokens of model 'm'")
    assert one.desk.tally.unpriced == 1


def test_wrong_events_change_nothing() -> None:
    one = plane()
    one.on(5, Arrived("a"))
    with pytest.raises(ValueError, match="request a: is inside already"):
        one.on(6, Arrived("a"))
    with pytest.raises(ValueError, match="the clock went back from 5 to 4 ns"):
        one.on(4, Arrived("b"))
    assert one.on(5, Left("a", 2)) == ()  # told late, of an attempt that never was
    assert one.desk.tally.ignored == 1
    assert one.on(5, Left("a", 1)) == (Finish("a", "ok", "", 1),)


def test_tenants_never_share_a_replica_or_an_answer_unless_their_plan_says_so() -> None:
    found = played(EVERYTHING, 11, 1500, checked=False)
    tenant = {entry.event.request_id: entry.event.tenant for entry in found.entries if isinstance(entry.event, Arrived)}
    for entry in found.entries:
        for one in entry.decisions:
            if isinstance(one, Release):
                assert (one.replica == 3) == (tenant[one.request_id] == "c")
            if isinstance(one, Answer):
                assert tenant[one.request_id] == tenant[one.answer_of]


def test_ends_are_the_three() -> None:
    assert {Reject, Answer, Finish} == set(ENDS)
