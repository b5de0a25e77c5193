"""Replicas as hardware: cold starts, stops, spot machines, nodes and networks, one event after another."""

from collections.abc import Sequence

import pytest

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.plane.attempts import Attempts
from sims.plane.failures import Failure
from sims.plane.fleet import maker
from sims.plane.machines import Machines
from sims.plane.station import StationLike
from sims.rules import VllmRules
from tests.sims.timing import Linear
from workbench.control.plane.events import Event, Heartbeat, Notice, ReplicaDown, ReplicaUp, Start, Stop
from workbench.runlog.schema import Planned


class Site:
    """Three replicas, 0 and 1 up on node n, 2 down; a start takes 100 ns. `said` is what was told, and when."""

    def __init__(self, *failures: Failure, heartbeat_ns: int | None = None, until_ns: int = 1_000) -> None:
        self.clock, self.attempts, self.said = Clock(), Attempts(), list[tuple[int, Event | int]]()
        rules, nobody = VllmRules(kv_blocks=100), lambda *_: None
        make = maker(self.clock, rules, Linear(), Overheads(), self.attempts, nobody, "macro")
        self.machines = Machines(
            self.clock, make.station, [True, True, False], self._tell, self._lost,
            lambda: self.clock.now_ns < until_ns, failures=failures, start_ns=lambda *_: 100,
            heartbeat_ns=heartbeat_ns, nodes={0: "n", 1: "n"}, every_node=("n", "m"))

    def _tell(self, event: Event) -> None:
        self.said.append((self.clock.now_ns, event))

    def _lost(self, _: StationLike, places: Sequence[int] | None) -> None:
        self.said.extend((self.clock.now_ns, place) for place in places or ())

    def at(self, when_ns: int, *orders: Start | Stop) -> None:
        for one in orders:
            act = self.machines.start if isinstance(one, Start) else self.machines.stop
            self.clock.at(when_ns, Turn.END, lambda act=act, one=one: act(one))  # type: ignore[misc]

    def submit(self, when_ns: int, replica: int) -> None:
        def act() -> None:
            place = self.attempts.add(Planned("a", 0, 10, 90), 0, 1, replica, replica, self.clock.now_ns)
            station = self.machines.station(replica)
            self.machines.through(station, lambda: self.said.append((self.clock.now_ns, -1 - place)))
            station.submit(place)
        self.clock.at(when_ns, Turn.ARRIVE, act)

    def run(self) -> list[tuple[int, Event | int]]:
        self.clock.run()
        return self.said


def test_a_start_serves_after_its_cold_start_and_is_paid_from_the_order_to_the_stop() -> None:
    site = Site()
    site.at(50, Start(2, 1, "m", ""))
    site.at(400, Stop(2, ""), Stop(0, ""))
    assert site.run() == [(150, ReplicaUp(2, 1))]
    assert site.machines.paid_ns(1_000) == (400, 1_000, 350)
    assert site.machines.starts == [(50, 2, 1)]


def test_a_stop_before_it_served_is_the_last_word_and_a_later_start_another() -> None:
    site = Site()
    site.at(50, Start(2, 1, "m", ""))
    site.at(100, Stop(2, ""))
    site.at(120, Start(2, 2, "m", ""))
    site.at(180, Stop(2, ""), Start(2, 3, "n", ""))
    assert site.run() == [(280, ReplicaUp(2, 3))]


def test_a_spot_machine_is_gone_as_announced_and_starts_again_only_when_one_is_there() -> None:
    site = Site(Failure(100, 0, 300, "spot", 50))
    site.submit(20, 0)
    site.at(200, Start(0, 1, "", ""))
    assert site.run() == [(20, -1), (100, Notice(0, 150)), (150, ReplicaDown(0)), (150, 0), (550, ReplicaUp(0, 1))]
    assert site.machines.paid_ns(1_000)[0] == 150 + 800


def test_a_dead_node_is_not_heard_of_and_its_replicas_come_back_with_it() -> None:
    site = Site(Failure(250, "n", 200, "node"), heartbeat_ns=100, until_ns=600)
    site.submit(20, 1)
    said = site.run()
    assert [one for one in said if not isinstance(one[1], Heartbeat)] == [
        (20, -1), (250, 0), (450, ReplicaUp(0, 0)), (450, ReplicaUp(1, 0))]
    beats = [(at_ns, one.node) for at_ns, one in said if isinstance(one, Heartbeat)]
    assert [at_ns for at_ns, node in beats if node == "n"] == [100, 200, 500]
    assert [at_ns for at_ns, node in beats if node == "m"] == [100, 200, 300, 400, 500]
    assert site.machines.paid_ns(1_000)[:2] == (800, 800)


def test_what_a_cut_off_replica_is_told_arrives_when_the_network_heals() -> None:
    site = Site(Failure(100, "n", 200, "partition"), heartbeat_ns=150, until_ns=500)
    site.submit(150, 0)
    site.at(160, Stop(1, ""))
    said = site.run()
    assert (300, -1) in said
    assert [at_ns for at_ns, one in said if isinstance(one, Heartbeat) and one.node == "n"] == [300, 450]
    assert site.machines.paid_ns(1_000)[1] == 300  # it computed, for nobody, until it heard of it
    assert site.machines.cut_off == [(0, 101, 300), (1, 101, 300)]


def test_who_is_started_elsewhere_while_cut_off_goes_on_as_a_ghost_until_then() -> None:
    site = Site(Failure(100, "n", 200, "partition"))
    site.submit(50, 0)
    site.at(150, Start(0, 1, "m", ""))
    assert site.run() == [(50, -1), (250, ReplicaUp(0, 1)), (300, 0)]
    assert len(site.machines.stations) == 4
    assert not site.machines.stations[0].up
    assert site.machines.station(0).up


def test_slow_hardware_stays_slow_through_a_start_unless_it_is_elsewhere() -> None:
    site = Site(Failure(100, 0, 500, "slow", slow_x=4.0), Failure(100, 1, 500, "slow", slow_x=2.0))
    seen: list[tuple[float, ...]] = []
    for when_ns in (50, 150, 400, 700):
        site.clock.at(when_ns, Turn.ARRIVE, lambda: seen.append(tuple(
            site.machines.station(i).slow_x for i in range(3))))
    site.at(200, Start(0, 1, "m", ""), Start(1, 1, "n", ""))
    assert [one for _, one in site.run()] == [ReplicaUp(0, 1), ReplicaUp(1, 1)], "nobody says that it is slow"
    assert seen == [(1, 1, 1), (4, 2, 1), (1, 2, 1), (1, 1, 1)]


def test_mutant_an_order_that_is_not_superseded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a stop forgotten, the start before it would serve."""
    monkeypatch.setattr(Machines, "stop", lambda self, one: None)
    site = Site()
    site.at(50, Start(2, 1, "m", ""))
    site.at(100, Stop(2, ""))
    assert site.run() == [(150, ReplicaUp(2, 1))]


@pytest.mark.parametrize(("failure", "says"), [
    (Failure(1, 3), "failure of replica 3: there are 0 to 2"),
    (Failure(1, "x", kind="node"), "failure of 'x': unknown; nodes: n, m")])
def test_a_failure_of_what_is_not_there_is_refused(failure: Failure, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Site(failure)


def test_a_failure_says_what_it_hits() -> None:
    with pytest.raises(ValueError, match="target of a partition is the name of a node"):
        Failure(1, 0, kind="partition")
    with pytest.raises(ValueError, match="at_ns and notice_ns at least 0"):
        Failure(-1, 0)
    for one in ({"kind": "slow"}, {"kind": "slow", "slow_x": 0.5}, {"slow_x": 2.0}):
        with pytest.raises(ValueError, match="slow_x above 1 for kind slow"):
            Failure(1, 0, **one)
