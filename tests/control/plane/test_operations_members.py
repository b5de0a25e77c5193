"""Replicas that start, drain, stop and are taken away: by hand, step by step."""

from typing import Any

import pytest

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Arrived,
    Finish,
    Gone,
    Left,
    Notice,
    Release,
    ReplicaDown,
    ReplicaUp,
    Start,
    Stop,
    Time,
    Wake,
)
from workbench.control.plane.plane import ControlPlane

SPARE = {"started": False}
FAST = {"every_ns": 100, "in_ns": 0, "slots": 2, "policy": {"name": "target_tracking"}}


def plane(**facts: Any) -> ControlPlane:
    return plane_of(facts)


def status(one: ControlPlane) -> list[str]:
    assert one.desk.operations is not None
    one.check()
    return list(one.desk.operations.members.status)


def told(one: ControlPlane, now_ns: int, event: Any) -> list[Any]:
    return [decided for decided in one.on(now_ns, event) if not isinstance(decided, Wake)]


def test_a_spare_replica_takes_nobody_until_it_is_up() -> None:
    one = plane(replicas=[SPARE, {}])
    assert status(one) == ["spare", "ready"]
    assert told(one, 0, Arrived("a")) == [Release("a", 1, 1, "")]
    told(one, 1, ReplicaDown(1))
    assert told(one, 2, Arrived("b")) == []
    assert told(one, 3, ReplicaUp(0)) == [Release("b", 1, 0, "")]
    assert status(one) == ["ready", "down"]


def test_more_start_lowest_first_and_take_requests_once_they_are_up() -> None:
    one = plane(replicas=[{}, SPARE, SPARE, SPARE], window=2, autoscale=FAST)
    for name in "abcd":
        told(one, 0, Arrived(name))
    assert told(one, 100, Time()) == [Start(1, 1, "", "2 wanted, 1 there")]
    assert status(one) == ["ready", "starting", "spare", "spare"]
    assert told(one, 101, ReplicaUp(1, 1)) == [Release("c", 1, 1, ""), Release("d", 1, 1, "")]
    assert told(one, 200, Time()) == [Start(2, 2, "", "3 wanted, 2 there")]
    assert told(one, 201, Gone("a")) + told(one, 202, Gone("b")) + told(one, 203, Gone("c"))
    # first the one that starts, as it serves nobody; then the one that nobody is on
    assert told(one, 300, Time()) == [Stop(2, "1 wanted, 3 there"), Stop(0, "1 wanted, 3 there")]
    assert status(one) == ["spare", "ready", "spare", "spare"]
    assert told(one, 301, ReplicaUp(2, 2)) == [], "told late: it was stopped meanwhile"
    assert one.desk.tally.fenced == 1
    assert status(one) == ["spare", "ready", "spare", "spare"]


def test_who_drains_takes_nobody_and_stops_when_the_last_has_left() -> None:
    one = plane(replicas=2, window=4, autoscale={**FAST, "slots": 4})
    assert told(one, 0, Arrived("a")) == [Release("a", 1, 0, "")]
    assert told(one, 0, Arrived("b")) == [Release("b", 1, 1, "")]
    assert told(one, 100, Time()) == []
    assert status(one) == ["ready", "draining"], "of two that are as busy and as old the highest number"
    assert told(one, 101, Arrived("c")) == [Release("c", 1, 0, "")]
    assert told(one, 102, Left("b", 1, "ok", 1, 0, 1)) == [Finish("b", "ok", "", 1), Stop(1, "1 wanted, 2 there")]
    assert status(one) == ["ready", "spare"]


def test_nobody_that_is_young_stops() -> None:
    one = plane(replicas=[{}, SPARE], window=2, autoscale={**FAST, "young_ns": 1000})
    told(one, 0, Arrived("a"))
    told(one, 0, Arrived("b"))
    assert told(one, 100, Time()) == [Start(1, 1, "", "2 wanted, 1 there")]
    told(one, 110, ReplicaUp(1, 1))
    told(one, 120, Gone("a"))
    assert told(one, 1000, Time()) == []  # the other one is old, but busy: it drains
    assert status(one) == ["draining", "ready"]


def test_a_broken_replica_is_replaced_and_one_too_many_stops_when_it_is_back() -> None:
    one = plane(replicas=[{}, SPARE], window=2, autoscale={
        **FAST, "policy": {"name": "queue_based", "parameters": {"slots": 2, "service_ns": 10, "drain_ns": 10}}})
    told(one, 0, ReplicaDown(0))
    assert told(one, 100, Time()) == [Start(1, 1, "", "1 wanted, 0 there")]
    told(one, 110, ReplicaUp(1, 1))
    told(one, 120, ReplicaUp(0))
    assert status(one) == ["ready", "ready"]
    assert told(one, 200, Time()) == [Stop(0, "1 wanted, 2 there")], "who came last"


def test_a_token_that_nobody_gave_is_an_error() -> None:
    one = plane(replicas=[{}, SPARE], autoscale={**FAST})
    with pytest.raises(ValueError, match="replica 1: is up by token 7, but the last one given is 0"):
        one.on(0, ReplicaUp(1, 7))


def test_a_token_of_another_replica_is_one_that_nobody_gave_this_one() -> None:
    one = plane(replicas=[{}, SPARE, SPARE], window=2, autoscale=FAST)
    for name in "abcd":
        told(one, 0, Arrived(name))
    told(one, 100, Time())
    with pytest.raises(ValueError, match="replica 2: is up by token 1, but the last one given is 0"):
        one.on(101, ReplicaUp(2, 1))
    assert status(one) == ["ready", "starting", "spare"]


def test_a_spot_machine_drains_at_its_notice_and_a_spare_one_starts() -> None:
    one = plane(replicas=[{}, SPARE])  # without any table
    told(one, 0, Arrived("a"))
    assert told(one, 10, Notice(0, 50)) == [Start(1, 1, "", "instead of replica 0")]
    assert told(one, 11, Arrived("b")) == []
    assert told(one, 20, ReplicaUp(1, 1)) == [Release("b", 1, 1, "")]
    told(one, 50, ReplicaDown(0))
    assert status(one) == ["draining", "ready"]
    assert told(one, 50, Left("a", 1, "failure", error="replica down")) == [
        Finish("a", "error", "replica down", 1), Stop(0, "its machine is taken away")]
    assert told(one, 90, ReplicaUp(0)) == []
    assert status(one) == ["spare", "ready"], "what runs there now was not asked for"


def test_a_fleet_without_operations_gets_a_notice_while_another_replica_is_down() -> None:
    one = plane(replicas=3)
    told(one, 0, ReplicaDown(0))
    assert told(one, 1, Notice(1, 50)) == [Stop(1, "its machine is taken away")]
    assert status(one) == ["down", "spare", "ready"]
    told(one, 2, ReplicaUp(0))
    assert status(one) == ["ready", "spare", "ready"]


def test_without_a_spare_one_the_same_starts_again_when_it_may() -> None:
    one = plane(replicas=2)
    assert one.on(10, Notice(0, 50)) == (Stop(0, "its machine is taken away"), Wake(50))
    assert told(one, 20, Notice(1, 90)) == [Stop(1, "its machine is taken away")]
    assert told(one, 49, Time()) == []
    assert told(one, 50, Time()) == [Start(0, 1, "", "instead of replica 0")]
    assert told(one, 90, Time()) == [Start(1, 2, "", "instead of replica 1")]
    assert told(one, 95, Notice(1, 99)) == [Stop(1, "its machine is taken away")], "in the middle of its start"
    assert status(one) == ["starting", "spare"]


@pytest.mark.parametrize(("facts", "says"), [
    ({"autoscale": {"polcy": "x"}}, "control.autoscale.polcy: unknown; did you mean 'policy'?"),
    ({"autoscale": {"policy": "target_trackin"}, "window": 2}, "did you mean 'target_tracking'?"),
    ({"autoscale": {"pool": "gold"}}, "autoscale.pool: 'gold' has no replicas; the fleet has shared"),
    ({"autoscale": [{"slots": 1}, {"slots": 1}]}, "autoscale.pool: 'shared' has two autoscalers"),
    ({"autoscale": {"most": 4, "slots": 1}}, "most: 4 is more than the pool's 1 replicas"),
    ({"autoscale": {"least": 2, "slots": 1}}, "least: 2 is more than most 1"),
    ({"autoscale": {}}, "slots: say how many requests a replica holds, as there is no window"),
    ({"autoscale": {"slots": 1, "load": "cpu"}}, "load 'cpu': is neither outstanding nor kv"),
    ({"autoscale": {"slots": 1, "policy": {"parameters": {}}}}, "has no name; write { name = ..., parameters"),
    ({"cluster": {"nodes": {}}}, "nodes: none; give at least one"),
    ({"cluster": {"nodes": {"a": 1}, "tp": 2}}, "no room for replica 0, 2 GPUs on one node"),
    ({"cluster": {"nodes": {"a": 1}, "dead_ns": 2}}, "control.cluster: parameter 'dead_ns' is unknown"),
    ({"canary": {}}, "canary: needs [control.models] with both versions"),
    ({"alarms": {"burn": {}}}, "alarms.burn: needs [control.sla]"),
    ({"alarms": {"changes": [{"signal": "ttfb"}]}}, "signal: 'ttfb' is unknown; known: arrivals, errors, ttft"),
    ({"alarms": {"changes": [{"signal": "ttft", "detector": "cusm"}]}}, "detector 'cusm' is unknown; did you mean"),
    ({"alarms": {"budgets": {"all": {"most_pusd": 5}}}}, "budgets.all: name its tenant, or give"),
    ({"alarms": {"budgets": {"a": {"most_pusd": 5, "tenant": "a"}}}}, "nobody is charged without [control.billing]"),
])
def test_what_is_wrong_with_operations_is_said_in_one_line(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        plane_of(facts)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
