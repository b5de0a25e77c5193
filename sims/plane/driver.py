"""SimPy's driver of the control plane: arrivals, replicas, failures and impatient clients on one clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.plane.attempts import Attempts
from sims.plane.clients import Clients
from sims.plane.failures import Failure
from sims.plane.fleet import Make, maker
from sims.plane.machines import Machines
from sims.plane.patience import Patience
from sims.plane.rows import NOBODY, Line
from sims.plane.station import FIRST, LAST, Out, StationLike
from sims.replica import IterationTime
from sims.rules import EngineRules
from sims.station import Mode
from workbench.control.plane.events import (
    Alarm,
    Answer,
    Arrived,
    Cancel,
    Charge,
    Event,
    Finish,
    FirstToken,
    Gone,
    Left,
    Notice,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Shift,
    Start,
    Stop,
    Time,
    Wake,
)
from workbench.control.plane.journal import Entry
from workbench.control.plane.plane import ControlPlane
from workbench.runlog.schema import Planned

WAKES, CLIENTS = 1, 2  # lanes of Turn.ARRIVE
DOWN = "replica down"
MOVES = frozenset((ReplicaUp, ReplicaDown, Notice, Start, Stop, Alarm, Shift))
QUIET = 10_000  # wakes, reports and heartbeats in a row that change nothing: who waits then, waits for ever


class Live(NamedTuple):
    """An attempt that is not over."""

    line: Line
    number: int
    station: StationLike


class PlaneDriver:
    """Plays a schedule. `arrival` says what the plane is told of a request, never its true output length.
    A client gives up where it has no token after `patience_ns`; `clients` have habits of their own. Replicas report
    every `report_ns`: between two reports nobody knows more of them (None: they never do); nodes are heard of every
    `heartbeat_ns`. A replica that is started serves `start_ns(replica, token)` later. `nodes`: where each is at first.
    """

    def __init__(
        self, schedule: Sequence[Planned], plane: ControlPlane, rules: EngineRules, timing: IterationTime,
        overheads: Overheads, arrival: Callable[[Planned], Arrived], *, failures: Sequence[Failure] = (),
        patience_ns: int | None = None, report_ns: int | None = None, keep_journal: bool = True, checked: bool = False,
        clients: Clients | None = None, start_ns: Callable[[int, int], int] | int = 0, heartbeat_ns: int | None = None,
        nodes: Mapping[int, str] | None = None, every_node: Sequence[str] = (), mode: Mode = "macro",
    ) -> None:
        self.clock, self.plane, self.overheads, self.arrival = Clock(), plane, overheads, arrival
        self.journal: list[Entry] | None = [] if keep_journal else None
        self.moves: list[Entry] = []  # of the fleet, the models and the alarms: kept also without a journal
        self.checked, self.patience_ns, self.clients = checked, patience_ns, clients
        self.lines = {one.request_id: Line(one, row) for row, one in enumerate(schedule)}
        self.attempts = Attempts()
        self.make: Make = maker(self.clock, rules, timing, overheads, self.attempts, self._seen, mode, failures)
        specs = plane.desk.fleet.specs
        self.machines = Machines(
            self.clock, self.make.station, [getattr(spec, "started", True) for spec in specs], self.tell, self._lost,
            self._wanted, failures=failures, report_ns=report_ns, heartbeat_ns=heartbeat_ns, nodes=nodes,
            every_node=every_node, start_ns=start_ns if callable(start_ns) else lambda *_: start_ns)
        self._live: dict[int, Live] = {}  # place of an attempt, in order of release
        self._place: dict[tuple[str, int], int] = {}
        self._patience: dict[int, Patience] = {}
        self._wakes: set[int] = set()
        self._order = sorted(schedule, key=lambda one: one.intended_ns or 0)
        self._came = self._quiet = 0
        self._pending = 0  # clients that ask again later, or compute themselves
        self.last_ns = 0
        self._does: Mapping[type[Any], Callable[[Any], None]] = {
            Release: self._release, Cancel: self._cancel, Charge: self._charge, Reject: self._end, Answer: self._end,
            Finish: self._end, Start: self.machines.start, Stop: self.machines.stop, Wake: self._wake,
        }
        self._arrival = self.clock.alarm(Turn.ARRIVE, self._arrive)
        if self._order:
            self._arrival.set(self._order[0].intended_ns or 0)

    @property
    def stations(self) -> Sequence[StationLike]:
        """All that ever computed."""
        return self.machines.stations

    def run(self, horizon_ns: int | None = None) -> int:
        """When it stopped."""
        self.clock.run(horizon_ns)
        going = self._came < len(self._order) or self._pending or self.plane.desk.inside
        stop_ns = horizon_ns if going and horizon_ns is not None else self.last_ns
        for place in list(self._live):
            self._over(place, stop_ns)
            self.attempts.broken_ns[place] = stop_ns + 1
        for station in self.stations:
            station.settle(stop_ns)
        return stop_ns

    def tell(self, event: Event) -> None:
        now_ns: int = self.clock.env._now
        decisions = self.plane.on(now_ns, event)
        if self.journal is not None:
            self.journal.append(Entry(now_ns, event, decisions))
        if self.checked:
            self.plane.check()
        does, self._quiet, moves = self._does, self._quiet + 1, event.__class__ in MOVES
        for one in decisions:
            if one.__class__ is not Wake:
                self._quiet = 0
                moves = moves or one.__class__ in MOVES
            if one.__class__ is Answer and one.source == "device":
                self._on_device(event, one)
            elif one.__class__ in does:  # alarms and shifts are for people
                does[one.__class__](one)
        if moves:
            self.moves.append(Entry(now_ns, event, decisions))

    def _wanted(self) -> bool:
        """Whether there is still something to wait for."""
        if self._came < len(self._order) or self._pending or self._live:
            return True
        return bool(self.plane.desk.inside) and self._quiet < QUIET

    def _arrive(self) -> None:
        plan = self._order[self._came]
        self._came += 1
        now_ns = self.clock.env._now
        if self._came < len(self._order):
            self._arrival.ring_at(max(now_ns, self._order[self._came].intended_ns or 0))
        self._send(self.lines[plan.request_id])

    def _send(self, line: Line) -> None:
        now_ns = self.clock.env._now
        line.sent_ns = self.last_ns = now_ns
        patience_ns = self.patience_ns if self.clients is None else self.clients.patience_ns(line.plan)
        if patience_ns is not None:
            if patience_ns not in self._patience:
                self._patience[patience_ns] = Patience(self.clock, patience_ns, CLIENTS, _waits, self._leaves)
            self._patience[patience_ns].add(now_ns, line)
        self.tell(self.arrival(line.plan))

    def _leaves(self, line: Line) -> None:
        self.tell(Gone(line.plan.request_id))

    def _perhaps_again(self, clients: Clients, line: Line, end: Reject | Answer | Finish) -> None:
        again = clients.again(self.clock.now_ns, line, end)
        if again is None:
            return
        once_more = self.lines[again.plan.request_id] = Line(again.plan, len(self.lines))
        self._pending += 1

        def send() -> None:
            self._pending -= 1
            self._send(once_more)
        self.clock.at(again.at_ns, Turn.ARRIVE, send, CLIENTS)

    def _on_device(self, event: Event, one: Answer) -> None:
        """Its own device computes, at its own speed: the plane is done with it, its client is not."""
        now_ns, line, hybrid = self.clock.now_ns, self.lines[one.request_id], self.plane.desk.hybrid
        assert isinstance(event, Arrived)  # nothing else is answered so
        assert hybrid is not None
        output_tok = line.plan.asked_output_tok
        first_ns, last_ns = hybrid.pace_ns(event.device, one.answer_of, line.plan.asked_prompt_tok, output_tok)
        each_ns = max(1, (last_ns - first_ns) // max(1, output_tok - 1))
        line.model, line.admit_ns, line.device_ns = one.answer_of, now_ns, (now_ns + first_ns, each_ns)
        end_ns = now_ns + first_ns + (output_tok - 1) * each_ns

        self._pending += 1

        def over() -> None:
            self._pending -= 1
            self.last_ns = self.clock.now_ns
            line.computed(self.last_ns)
        self.clock.at(end_ns, Turn.END, over, CLIENTS)

    def _end(self, one: Reject | Answer | Finish) -> None:
        self.last_ns = self.clock.env._now
        line = self.lines[one.request_id]
        line.ended(self.last_ns, one)
        if self.clients is not None:
            self._perhaps_again(self.clients, line, one)

    def _charge(self, one: Charge) -> None:
        self.lines[one.request_id].price_pusd = one.price_pusd

    def _wake(self, one: Wake) -> None:
        """Once for each moment; once nobody is to come and nobody is inside, no more are set."""
        at_ns = one.at_ns
        if at_ns in self._wakes or not self._wanted():
            return
        self._wakes.add(at_ns)

        def wake() -> None:
            self._wakes.discard(at_ns)
            self.tell(Time())
        self.clock.at(at_ns, Turn.ARRIVE, wake, WAKES)

    def _release(self, one: Release) -> None:
        now_ns, line = self.clock.env._now, self.lines[one.request_id]
        line.admit_ns, line.replica, line.model, line.attempts = now_ns, one.replica, one.model, one.attempt
        machine = self.machines.all[one.replica]
        place = self.attempts.add(line.plan, line.row, one.attempt, one.replica, machine.index, now_ns)
        self._live[place] = Live(line, one.attempt, machine.station)
        self._place[one.request_id, one.attempt] = place
        if self.overheads.in_ns:
            self.clock.at(now_ns + self.overheads.in_ns, Turn.ARRIVE, lambda: self._hand_over(place))
        else:
            self._hand_over(place)

    def _hand_over(self, place: int) -> None:
        live = self._live.get(place)
        if live is None:
            return  # cancelled on the way
        station = live.station
        if station.held is not None:
            station.held.append(lambda: self._hand_over(place))
            return
        if not station.up:
            self._later(place, Left(live.line.plan.request_id, live.number, "unsent", error=DOWN))
            return
        refused = station.submit(place)
        if refused is not None:
            self._later(place, Left(live.line.plan.request_id, live.number, "refused", error=refused))

    def _later(self, place: int, event: Left) -> None:
        """Still in this instant, but not while a decision is carried out."""
        def tell() -> None:
            if place in self._live:
                self._over(place, self.clock.now_ns)
                self.tell(event)
        self.clock.at(self.clock.now_ns, Turn.END, tell, self._live[place].station.number)

    def _cancel(self, one: Cancel) -> None:
        place = self._place[one.request_id, one.attempt]
        station = self._over(place, self.clock.env._now).station
        if station.held is None:
            station.cancel(place)
        else:
            station.held.append(lambda: station.cancel(place))

    def _seen(self, station: StationLike, out: Out, *, late: bool = False) -> None:
        """In the engine's order: its first byte, its end, then the next one's. `late`: a network healed; whom the plane
        gave up meanwhile it is told of, and no client listens."""
        if station.held is not None:
            station.held.append(lambda: self._seen(station, out, late=True))
            return
        for place, bits in out:
            live = self._live.get(place)
            if live is None:
                continue  # cancelled meanwhile
            line, number, _ = live
            plan = line.plan
            if bits & FIRST:
                if line.shown == NOBODY and not (late and self._given_up(plan.request_id, number)):
                    self._shown(line, place)
                self.tell(FirstToken(plan.request_id, number))
            if bits & LAST and place in self._live:
                self._over(place, self.clock.env._now, done=True)
                self.tell(Left(plan.request_id, number, "ok", plan.asked_prompt_tok, self.attempts.cached_tok[place],
                               plan.asked_output_tok))

    def _shown(self, line: Line, place: int) -> None:
        """From its first token on the client sees this attempt; of a hedged request the replica is where it ran."""
        line.shown, line.replica = place, self.attempts.replica[place]

    def _given_up(self, request_id: str, number: int) -> bool:
        state = self.plane.desk.inside.get(request_id)
        return state is None or number not in state.out

    def _lost(self, station: StationLike, places: Sequence[int] | None) -> None:
        if places is None:
            places = [place for place, live in self._live.items() if live.station is station]
        seen = [place for place in places if place in self._live and self._live[place].line.shown == place]
        given = dict(zip(seen, station.given(seen, self.machines.heard_ns(station)), strict=True)) if seen else {}
        for place in places:
            if place in self._live:
                line, number, _ = self._over(place, self.clock.now_ns)
                output_tok = max(1, given[place]) if place in given else 0  # of the first one its client was told
                self.tell(Left(line.plan.request_id, number, "failure", output_tok=output_tok, error=DOWN))

    def _over(self, place: int, now_ns: int, *, done: bool = False) -> Live:
        live, attempts = self._live.pop(place), self.attempts
        line = live.line
        del self._place[line.plan.request_id, live.number]
        line.engine_ns += now_ns - attempts.released_ns[place]
        if line.start_ns is None and attempts.start_ns[place] >= 0:
            line.start_ns = attempts.start_ns[place]
        line.cached_tok = attempts.cached_tok[place]
        attempts.over_ns[place] = now_ns
        if not done:
            attempts.broken_ns[place] = now_ns
        return live


def _waits(line: Line) -> bool:
    return line.end_ns is None and line.shown == NOBODY and line.device_ns is None
