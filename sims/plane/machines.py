"""The fleet as hardware: replicas that start, stop, die, cannot be reached and come back, and nodes under them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sims.clock import Clock, Turn
from sims.plane.failures import Failure
from sims.plane.station import StationLike
from workbench.control.plane.events import Event, Heartbeat, Notice, ReplicaDown, ReplicaUp, Start, Stop

FAILURES, REPORTS, HEARTBEATS = 1 << 31, (1 << 31) + 1, (1 << 31) + 2  # lanes of Turn.END: after every station's own
FOREVER = 1 << 62


@dataclass(slots=True)
class Machine:
    """One replica's place. `order` counts what was said of it, so that what was meant for before is known as such;
    `since_ns`: paid for since then (None: it is not)."""

    station: StationLike
    index: int  # of the station among all that ever were
    node: str = ""
    token: int = 0
    order: int = 0
    since_ns: int | None = 0
    paid_ns: int = 0
    gone_until_ns: int = 0  # taken away by its provider

    def pay(self, now_ns: int, *, on: bool) -> None:
        if self.since_ns is not None:
            self.paid_ns += now_ns - self.since_ns
        self.since_ns = now_ns if on else None


@dataclass(slots=True)
class Node:
    """`held`: what waits until it can be reached again (None: it can be)."""

    down_until_ns: int = 0
    held: list[Callable[[], None]] | None = None
    ghosts: list[StationLike] = field(default_factory=list)  # given up by the plane, and still computing


class Machines:
    """`station(i)` makes a fresh one. `tell` is the plane's ear; `lost` is told of attempts that went down with their
    station (None: all that it had); `wanted` says whether anything may still happen. `start_ns(replica, token)`: a cold
    start. `nodes`: on which node each replica is at first."""

    def __init__(
        self, clock: Clock, station: Callable[[int], StationLike], started: Sequence[bool],
        tell: Callable[[Event], None], lost: Callable[[StationLike, Sequence[int] | None], None],
        wanted: Callable[[], bool], *,
        failures: Sequence[Failure] = (), start_ns: Callable[[int, int], int], report_ns: int | None = None,
        heartbeat_ns: int | None = None, nodes: Mapping[int, str] | None = None, every_node: Sequence[str] = (),
    ) -> None:
        for name, every_ns in (("report_ns", report_ns), ("heartbeat_ns", heartbeat_ns)):
            if every_ns is not None and every_ns < 1:
                raise ValueError(f"{name} {every_ns}: must be at least 1")
        self.clock, self._make, self._tell, self._lost, self._wanted = clock, station, tell, lost, wanted
        self._start_ns, self._report_ns, self._heartbeat_ns = start_ns, report_ns, heartbeat_ns
        homes = nodes or {}
        self.all = [Machine(station(i), i, homes.get(i, "")) for i in range(len(started))]
        self.stations = [machine.station for machine in self.all]  # that ever computed
        self.nodes = {name: Node() for name in dict.fromkeys((*every_node, *homes.values()))}
        self.starts: list[tuple[int, int, int]] = []  # (when, replica, token)
        self.cut_off: list[tuple[int, int, int]] = []  # (which of the stations, from when, until when)
        for machine, is_up in zip(self.all, started, strict=True):
            machine.station.up = is_up
            machine.since_ns = 0 if is_up else None
        self._ticking = 0  # reports and heartbeats that are to come
        if report_ns is not None:
            self._ticking += 1
            clock.at(report_ns, Turn.END, self._report, REPORTS)
        if heartbeat_ns is not None and self.nodes:
            self._ticking += 1
            clock.at(heartbeat_ns, Turn.END, self._heartbeats, HEARTBEATS)
        for one in failures:
            self._known(one)
            self._soon(one.at_ns, lambda one=one: self._fail(one))  # type: ignore[misc]

    def station(self, replica: int) -> StationLike:
        return self.all[replica].station

    def through(self, station: StationLike, act: Callable[[], None]) -> None:
        """Now, or when the network heals."""
        if station.held is None:
            act()
        else:
            station.held.append(act)

    def heard_ns(self, station: StationLike) -> int:
        """What it gave before that moment has arrived by now: nothing comes through a cut network."""
        now_ns, index = self.clock.now_ns, next(i for i, one in enumerate(self.stations) if one is station)
        return min((from_ns for one, from_ns, until_ns in self.cut_off if one == index and until_ns >= now_ns),
                   default=now_ns)

    def start(self, one: Start) -> None:
        """It serves after its cold start, if nothing happens to it before. Still on another node out of reach: what
        computes there goes on, and is a ghost."""
        machine, now_ns = self.all[one.replica], self.clock.now_ns
        machine.order += 1
        machine.token = one.token
        self.starts.append((now_ns, one.replica, one.token))
        self._soon(now_ns, lambda: self._started(machine, one))

    def _started(self, machine: Machine, one: Start) -> None:
        now_ns, slow_x = self.clock.now_ns, machine.station.slow_x
        if machine.station.held is not None:
            self.nodes[machine.node].ghosts.append(machine.station)
            machine.station = self._make(one.replica)
            machine.station.up, machine.index = False, len(self.stations)
            self.stations.append(machine.station)
        elif machine.station.up:  # begun anew
            self._lose([machine])
        if one.node and one.node != machine.node:
            machine.node, slow_x = one.node, 1.0
        machine.station.slow_x = slow_x
        machine.pay(now_ns, on=True)
        self._begin(machine, now_ns)

    def stop(self, one: Stop) -> None:
        """After all that ends at this moment. Out of reach, it hears of it when the network heals."""
        machine = self.all[one.replica]
        machine.order += 1
        order, station = machine.order, machine.station

        def act() -> None:
            if station is machine.station and machine.order == order:
                machine.pay(self.clock.now_ns, on=False)
                self._lose([machine])
        self._soon(self.clock.now_ns, lambda: self.through(station, act))

    def paid_ns(self, until_ns: int) -> tuple[int, ...]:
        """Started time of each replica."""
        return tuple(one.paid_ns + (0 if one.since_ns is None else until_ns - one.since_ns) for one in self.all)

    def _known(self, one: Failure) -> None:
        if isinstance(one.target, str):
            if one.target not in self.nodes:
                raise ValueError(f"failure of {one.target!r}: unknown; nodes: {', '.join(self.nodes) or 'none'}")
        elif not 0 <= one.target < len(self.all):
            raise ValueError(f"failure of replica {one.target}: there are 0 to {len(self.all) - 1}")

    def _soon(self, at_ns: int, act: Callable[[], None]) -> None:
        """Not once everybody has been served: a replica that is up then would be heard among silent nodes."""
        self.clock.at(at_ns, Turn.END, lambda: act() if self._wanted() else None, FAILURES)

    def _begin(self, machine: Machine, now_ns: int) -> None:
        """Its cold start, once its hardware is there."""
        order, replica = machine.order, machine.station.number
        from_ns = max(now_ns, machine.gone_until_ns, self._node_back_ns(machine))

        def up() -> None:
            if machine.order != order:
                return
            if self._node_back_ns(machine) > self.clock.now_ns:  # it died during the start
                self._begin(machine, self.clock.now_ns)
                return
            self._back(machine)
        if from_ns < FOREVER:
            self._soon(from_ns + self._start_ns(replica, machine.token), up)

    def _node_back_ns(self, machine: Machine) -> int:
        node = self.nodes.get(machine.node)
        return 0 if node is None else node.down_until_ns

    def _back(self, machine: Machine) -> None:
        """By itself, or after a start."""
        machine.station.up = True
        node = self.nodes.get(machine.node)
        machine.station.held = None if node is None else node.held
        if machine.since_ns is None:
            machine.pay(self.clock.now_ns, on=True)
        event = ReplicaUp(machine.station.number, machine.token)
        self.through(machine.station, lambda: self._tell(event))

    def _lose(self, machines: Sequence[Machine], *, say: bool = False, mute: bool = False) -> None:
        """They stop at once. `mute`: what they had to say is lost with them."""
        lost = [(machine.station, machine.station.fail()) for machine in machines if machine.station.up]
        for station, places in lost:
            if say:
                self._tell(ReplicaDown(station.number))
            self._lost(station, None if mute else places)

    def _fail(self, one: Failure) -> None:
        until_ns = FOREVER if one.end_ns is None else one.end_ns
        if one.kind == "partition":
            self._cut(str(one.target), until_ns)
        elif one.kind == "node":
            self._node_dies(str(one.target), until_ns)
        elif one.kind == "spot":
            self._taken(int(one.target), one)
        elif one.kind == "slow":
            self._slowed(self.all[int(one.target)], one.slow_x, until_ns)
        else:
            self._dies([self.all[int(one.target)]], until_ns)

    def _dies(self, machines: Sequence[Machine], until_ns: int, *, say: bool = True, mute: bool = False) -> None:
        """And comes back by itself, unless somebody said otherwise of it since."""
        hit = [machine for machine in machines if machine.station.up]
        for machine in hit:
            machine.order += 1
            if until_ns < FOREVER:
                self._soon(until_ns, lambda machine=machine, order=machine.order: (  # type: ignore[misc]
                    self._back(machine) if machine.order == order else None))
        self._lose(hit, say=say, mute=mute)

    def _slowed(self, machine: Machine, slow_x: float, until_ns: int) -> None:
        """Its hardware, not what runs on it: a start on the same node changes nothing."""
        node, machine.station.slow_x = machine.node, slow_x

        def whole() -> None:
            if machine.node == node:
                machine.station.slow_x = 1.0
        if until_ns < FOREVER:
            self._soon(until_ns, whole)

    def _node_dies(self, name: str, until_ns: int) -> None:
        """Where nodes are listened to nobody says that its replicas are down: they are heard of no more."""
        node = self.nodes[name]
        node.down_until_ns = max(node.down_until_ns, until_ns)
        on_it = [machine for machine in self.all if machine.node == name]
        mute, ghosts = node.held is not None, node.ghosts
        for machine in on_it:
            machine.station.held = None
        node.held, node.ghosts = None, []
        here, now_ns = {machine.index for machine in on_it}, self.clock.now_ns
        self.cut_off = [(i, from_ns, min(until_ns, now_ns) if i in here else until_ns)  # what starts there is heard
                        for i, from_ns, until_ns in self.cut_off]
        self._dies(on_it, until_ns, say=self._heartbeat_ns is None, mute=mute)
        for station in ghosts:
            station.fail()
            self._lost(station, None)
        for machine in on_it:
            machine.pay(self.clock.now_ns, on=False)

    def _taken(self, replica: int, one: Failure) -> None:
        machine, at_ns = self.all[replica], one.at_ns + one.notice_ns
        until_ns = FOREVER if one.down_ns is None else at_ns + one.down_ns

        def take() -> None:
            machine.gone_until_ns = max(machine.gone_until_ns, until_ns)
            if machine.station.up:
                self._dies([machine], until_ns)
                machine.pay(self.clock.now_ns, on=False)
        self._soon(at_ns, take)
        if machine.station.up:
            self._tell(Notice(replica, at_ns))

    def _cut(self, name: str, until_ns: int) -> None:
        node, now_ns = self.nodes[name], self.clock.now_ns
        if node.held is not None or node.down_until_ns > now_ns:
            return
        node.held = []
        for machine in self.all:
            if machine.node == name and machine.station.up:
                machine.station.held = node.held
                self.cut_off.append((machine.index, now_ns + 1, until_ns))  # what ends at that moment came through
        if until_ns < FOREVER:
            held = node.held
            self._soon(until_ns, lambda: self._heal(name, held))

    def _heal(self, name: str, held: list[Callable[[], None]]) -> None:
        """All that waited arrives in the order in which it was said; whom the plane gave up stops then."""
        node = self.nodes[name]
        if node.held is not held:
            return
        node.held = None
        for machine in self.all:
            if machine.station.held is held:
                machine.station.held = None
        ghosts, node.ghosts = node.ghosts, []
        for station in ghosts:
            station.held = None
        for act in held:
            act()
        for station in ghosts:
            self._lost(station, station.fail())

    def _report(self) -> None:
        """After everything else of its instant, before any decision there."""
        if self._over():
            return
        for machine in self.all:
            if machine.station.up and machine.station.held is None:
                self._tell(machine.station.report())
        assert self._report_ns is not None  # it was asked for
        self.clock.at(self.clock.now_ns + self._report_ns, Turn.END, self._report, REPORTS)

    def _heartbeats(self) -> None:
        if self._over():
            return
        now_ns = self.clock.now_ns
        for name, node in self.nodes.items():
            if node.down_until_ns <= now_ns and node.held is None:
                self._tell(Heartbeat(name))
        assert self._heartbeat_ns is not None  # it was asked for
        self.clock.at(now_ns + self._heartbeat_ns, Turn.END, self._heartbeats, HEARTBEATS)

    def _over(self) -> bool:
        """Nobody is to come or inside; or nothing else will happen any more: who waits, waits for ever."""
        if self._wanted() and len(self.clock.env._queue) >= self._ticking:
            return False
        self._ticking -= 1
        return True
