"""Nodes that fall silent: failover, fencing, and what becomes of the requests that were there."""

from typing import Any

from fleet_play import SECOND, FleetPlay
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Arrived,
    Finish,
    FirstToken,
    Gone,
    Heartbeat,
    Left,
    Notice,
    Release,
    ReplicaUp,
    Start,
    Stop,
    Time,
    Wake,
)
from workbench.control.plane.plane import ControlPlane

NODES = {"a": 2, "b": 2, "c": 2}
RETRY = {"wait_ns": 1, "most_wait_ns": 1, "ratio_ppm": 10**6, "most": 9}


def plane(nodes: dict[str, int], replicas: Any = 2, lease_ns: int = 100, **facts: Any) -> ControlPlane:
    return plane_of({"replicas": replicas, "retries": RETRY, "cluster": {
        "nodes": nodes, "dead_after_ns": 100, "probation_ns": 50, "lease_ns": lease_ns}, **facts})


def told(one: ControlPlane, now_ns: int, event: Any) -> list[Any]:
    found = [decided for decided in one.on(now_ns, event) if not isinstance(decided, Wake)]
    one.check()
    return found


def where(one: ControlPlane) -> dict[int, str]:
    assert one.desk.operations is not None
    assert one.desk.operations.cluster is not None
    return one.desk.operations.cluster.nodes


def test_a_silent_nodes_replica_starts_elsewhere_and_its_requests_go_on() -> None:
    one = plane({"a": 1, "b": 1, "c": 1})
    assert where(one) == {0: "a", 1: "b"}
    for name in ("r1", "r2", "r3", "r4"):
        told(one, 0, Arrived(name))  # in turn on 0 and 1
    told(one, 5, FirstToken("r3", 1))
    told(one, 60, Heartbeat("b"))
    told(one, 60, Heartbeat("c"))
    # at 100 a is dead: who has a byte ends with it, who has none goes elsewhere, the replica to c
    assert told(one, 100, Time()) == [
        Finish("r3", "error", "node lost: a is down; the first byte is out", 1), Stop(0, "a is down"),
        Start(0, 3, "c", "a is down")]
    assert where(one) == {0: "c", 1: "b"}
    assert told(one, 101, Time()) == [Release("r1", 2, 1, "")]
    assert told(one, 130, ReplicaUp(0, 3)) == []
    assert told(one, 131, Arrived("r5")) == [Release("r5", 1, 0, "")]


def test_what_the_lost_one_still_says_is_late() -> None:
    one = plane({"a": 1, "b": 1}, [{}, {"started": False}])
    told(one, 0, Arrived("r1"))
    told(one, 90, Heartbeat("b"))
    assert told(one, 100, Time())[:2] == [Stop(0, "a is down"), Start(0, 2, "b", "a is down")]
    assert told(one, 110, ReplicaUp(0)) == []
    assert one.desk.tally.fenced == 1
    assert told(one, 111, FirstToken("r1", 1)) + told(one, 112, Left("r1", 1, "ok", 1, 0, 1)) == []
    assert one.desk.tally.ignored == 2
    assert told(one, 113, ReplicaUp(0, 2)) == [Release("r1", 2, 0, "")]
    assert told(one, 114, ReplicaUp(0, 1)) == []
    assert one.desk.tally.fenced == 2


def test_none_starts_before_the_lease_of_before_has_ended() -> None:
    one = plane({"a": 1, "b": 1}, 1, lease_ns=300)
    told(one, 10, Heartbeat("a"))
    told(one, 90, Heartbeat("b"))
    assert told(one, 110, Time()) == [Stop(0, "a is down")]  # heard last at 10: it may write until 310
    told(one, 180, Heartbeat("b"))
    told(one, 260, Heartbeat("b"))
    assert told(one, 309, Heartbeat("b")) == []
    assert told(one, 310, Time()) == [Start(0, 2, "b", "a is down")]


def test_without_room_it_waits_and_a_node_comes_back_after_probation() -> None:
    one = plane({"a": 1, "b": 1})
    told(one, 90, Heartbeat("b"))
    assert told(one, 100, Time()) == [Stop(0, "a is down")]
    assert where(one) == {1: "b"}
    told(one, 120, Heartbeat("a"))
    told(one, 150, Heartbeat("b"))
    assert told(one, 169, Heartbeat("a")) == []
    assert told(one, 170, Time()) == [Start(0, 3, "a", "a is down; waited since 0 s for a node")]


def test_a_spot_notice_moves_a_replica_and_frees_its_gpus() -> None:
    one = plane({"a": 1, "b": 1}, [{}, {"started": False}])
    assert told(one, 5, Notice(0, 50)) == [Stop(0, "its machine is taken away"),
                                           Start(1, 2, "a", "instead of replica 0")]
    assert where(one) == {1: "a"}


def test_what_drains_on_a_dead_node_is_not_wanted_elsewhere() -> None:
    one = plane({"a": 1, "b": 1}, 1, window=2, autoscale={
        "every_ns": 20, "in_ns": 0, "least": 0, "slots": 2,
        "policy": {"name": "concurrency", "parameters": {"target": 100, "stable_ns": 1}}})
    told(one, 0, Arrived("r1"))
    told(one, 90, Heartbeat("b"))
    assert one.desk.operations is not None
    one.desk.operations.members.drain(90, 0, "by hand")
    assert told(one, 100, Time()) == [Stop(0, "a is down"), Start(0, 2, "b", "1 wanted, 0 there")], "by the autoscaler"


def test_two_nodes_die_at_one_look_and_what_drained_on_one_makes_room_for_the_other() -> None:
    """The stop of the drained one places the other before it is known as lost."""
    one = plane({"a": 1, "b": 1, "c": 1}, lease_ns=50)
    told(one, 0, Arrived("r1"))
    told(one, 10, Notice(0, 30))
    told(one, 60, Heartbeat("c"))
    assert told(one, 100, Time()) == [Stop(0, "a is down"), Stop(1, "b is down"), Start(1, 3, "c", "b is down")]
    assert where(one) == {1: "c"}
    assert told(one, 110, ReplicaUp(1, 3)) == [Release("r1", 2, 1, "")]


def test_a_replica_whose_nodes_die_one_after_another_comes_up_by_its_last_token() -> None:
    """Its new homes fall silent while the lease of the first holds: it is stopped once, however often it is moved."""
    one = plane({"a": 1, "b": 1, "c": 1, "d": 1}, 1, lease_ns=600)
    stops = []
    for now_ns in range(10, 600, 10):
        for node, dies_ns in (("b", 120), ("c", 240), ("d", 9999)):
            if now_ns < dies_ns:
                stops += told(one, now_ns, Heartbeat(node))
        stops += told(one, now_ns, Time())
    assert stops == [Stop(0, "a is down")]
    assert where(one) == {0: "d"}
    told(one, 599, Heartbeat("d"))
    assert told(one, 600, Time()) == [Start(0, 2, "d", "c is down")]
    assert told(one, 640, ReplicaUp(0, 2)) == []
    assert told(one, 641, Arrived("r1")) == [Release("r1", 1, 0, "")]
    assert one.desk.tally.fenced == 0


def test_who_waits_for_a_node_is_not_paid_for_and_stops_unheard() -> None:
    one = plane({"a": 1}, [{}, {"started": False}], window=1, autoscale={
        "every_ns": SECOND, "in_ns": 0, "policy": {"name": "queue_based", "parameters": {
            "slots": 1, "service_ns": SECOND, "drain_ns": SECOND}}}, cluster={
        "nodes": {"a": 1}, "dead_after_ns": 9 * SECOND, "probation_ns": SECOND})
    members = one.desk.operations.members  # type: ignore[union-attr]
    told(one, 0, Arrived("r1"))
    told(one, 0, Arrived("r2"))
    assert told(one, SECOND, Time()) == []
    assert members.status == ["ready", "waiting"]
    assert members.paid_ns(3 * SECOND) == 3 * SECOND, "of one"
    told(one, 3 * SECOND, Gone("r2"))
    assert told(one, 4 * SECOND, Time()) == []
    assert members.status == ["ready", "spare"]


def test_a_start_that_waited_for_a_node_says_since_when() -> None:
    one = plane_of({"replicas": [{}, {"started": False}], "cluster": {
        "nodes": {"a": 1}, "dead_after_ns": 99 * SECOND, "probation_ns": SECOND}})
    members = one.desk.operations.members  # type: ignore[union-attr]
    told(one, 34 * SECOND, Time())
    members.start(34 * SECOND, 1, "by hand")
    assert members.status == ["ready", "waiting"]
    told(one, 40 * SECOND, Arrived("r1"))
    assert told(one, 41 * SECOND, Notice(0, 50 * SECOND)) == []
    assert told(one, 45 * SECOND, Left("r1", 1, "ok", 1, 0, 1)) == [
        Finish("r1", "ok", "", 1), Stop(0, "its machine is taken away"),
        Start(1, 2, "a", "by hand; waited since 34 s for a node")]
    assert members.paid_ns(55 * SECOND) == 55 * SECOND, "one after the other"


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_whatever_falls_silent_nobody_is_lost_and_nothing_stale_gets_in(data: st.DataObject) -> None:
    nodes = {"a": 3, "b": 2, "c": 2}
    play = FleetPlay({
        "replicas": [{}] * 4 + [{"started": False}] * 3, "window": 3, "retries": {"ratio_ppm": 10**6, "most": 9},
        "cluster": {"nodes": nodes, "dead_after_ns": 3 * SECOND, "probation_ns": 4 * SECOND,
                    "lease_ns": data.draw(st.integers(1, 6)) * SECOND},
        "autoscale": {"every_ns": 2 * SECOND, "in_ns": 6 * SECOND, "least": 1,
                      "policy": {"name": "queue_based", "parameters": {
                          "slots": 3, "service_ns": SECOND, "drain_ns": 3 * SECOND}}}}, cold_ns=2 * SECOND)
    play.heartbeats(nodes, SECOND, 400 * SECOND)
    for _ in range(data.draw(st.integers(3, 15))):
        what = data.draw(st.sampled_from(["burst", "wait", "silent", "heard", "stale"]))
        if what == "burst":
            for _ in range(data.draw(st.integers(1, 20))):
                play.arrive()
        elif what == "wait":
            play.run(play.now_ns + data.draw(st.integers(1, 8)) * SECOND)
        elif what == "silent":
            play.silent.add(data.draw(st.sampled_from(sorted(nodes))))
        elif what == "heard":
            play.silent.clear()
        else:
            replica = data.draw(st.integers(0, 6))
            if play.token.get(replica, 0) != 0 and play.members.status[replica] != "ready":
                before = list(play.members.status)
                play.tell(ReplicaUp(replica, data.draw(st.integers(0, max(0, play.token[replica] - 1)))))
                assert play.members.status == before, "an older token"
    play.silent.clear()
    play.run(play.now_ns + 120 * SECOND)
    assert len(play.ended) == play.count
    assert play.count_of("ready") >= 1


def test_one_attempt_is_never_at_two_replicas_of_a_moved_group() -> None:
    """A partition: the node computes on, heals later, and all it then says changes nothing."""
    play = FleetPlay({"replicas": 3, "window": 4, "retries": {"ratio_ppm": 10**6},
                      "cluster": {"nodes": NODES, "dead_after_ns": 3 * SECOND, "probation_ns": 2 * SECOND}})
    play.heartbeats(NODES, SECOND, 60 * SECOND)
    play.run(2 * SECOND + 1)
    play.service_ns = 10 * SECOND
    for _ in range(9):
        play.arrive()
    gone = where(play.plane)[0]
    play.silent.add(gone)
    play.run(30 * SECOND)
    play.silent.clear()
    play.run(60 * SECOND)
    assert {one.outcome for one in play.ended.values()} == {"ok"}
    assert len(play.ended) == 9
    assert play.plane.desk.tally.ignored == len(
        [1 for entry in play.entries for one in entry.decisions if isinstance(one, Release) and one.attempt > 1])
