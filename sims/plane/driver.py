"""SimPy's driver of the control plane: arrivals, replicas, failures and impatient clients on one clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.plane.clients import Clients
from sims.plane.rows import Line
from sims.plane.station import Emitted, PlaneStation, Started
from sims.replica import IterationTime, Request
from sims.rules import EngineRules
from workbench.control.plane.events import (
    Answer,
    Arrived,
    Cancel,
    Charge,
    Event,
    Finish,
    FirstToken,
    Gone,
    Left,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Time,
    Wake,
)
from workbench.control.plane.journal import Entry
from workbench.control.plane.plane import ControlPlane
from workbench.runlog.schema import Planned

WAKES, CLIENTS, FAILURES, REPORTS = 1, 2, 1 << 31, (1 << 31) + 1  # lanes: order within one turn of one instant
DOWN = "replica down"


@dataclass(frozen=True, slots=True)
class Failure:
    """A replica dies; `down_ns` later it is back (None: never)."""

    at_ns: int
    replica: int
    down_ns: int | None = None


class PlaneDriver:
    """Plays a schedule. `arrival` says what the plane is told of a request, never its true output length.
    A client gives up where it has no token after `patience_ns`; `clients` have habits of their own. Replicas report
    every `report_ns`: between two reports nobody knows more of them (None: they never do)."""

    def __init__(
        self, schedule: Sequence[Planned], plane: ControlPlane, rules: EngineRules, timing: IterationTime,
        overheads: Overheads, arrival: Callable[[Planned], Arrived], *, failures: Sequence[Failure] = (),
        patience_ns: int | None = None, report_ns: int | None = None, keep_journal: bool = True, checked: bool = False,
        clients: Clients | None = None,
    ) -> None:
        if report_ns is not None and report_ns < 1:
            raise ValueError(f"report_ns {report_ns}: must be at least 1")
        self.clock, self.plane, self.overheads, self.arrival = Clock(), plane, overheads, arrival
        self.journal: list[Entry] | None = [] if keep_journal else None
        self.checked, self.patience_ns, self.report_ns, self.clients = checked, patience_ns, report_ns, clients
        self.lines = {one.request_id: Line(one) for one in schedule}
        self.stations = [PlaneStation(self.clock, i, rules, timing, overheads, self._seen, self._started)
                         for i in range(len(plane.desk.fleet.specs))]
        self._live: dict[str, tuple[str, int, int, int]] = {}  # name of an attempt -> request, number, replica, since
        self._order = sorted(schedule, key=lambda one: one.intended_ns or 0)
        self._came = 0
        self.last_ns = 0
        self._arrival = self.clock.alarm(Turn.ARRIVE, self._arrive)
        if self._order:
            self._arrival.set(self._order[0].intended_ns or 0)
        if report_ns is not None:
            self.clock.at(report_ns, Turn.END, self._report, REPORTS)
        for one in failures:
            self.clock.at(one.at_ns, Turn.END, lambda one=one: self._fail(one), FAILURES)  # type: ignore[misc]

    def run(self, horizon_ns: int | None = None) -> int:
        """When it stopped."""
        beyond = self.clock.run(horizon_ns)
        stop_ns = horizon_ns if beyond and horizon_ns is not None else self.last_ns
        for name in list(self._live):
            self._over(name, stop_ns)
        return stop_ns

    def tell(self, event: Event) -> None:
        now_ns = self.clock.now_ns
        decisions = self.plane.on(now_ns, event)
        if self.journal is not None:
            self.journal.append(Entry(now_ns, event, decisions))
        if self.checked:
            self.plane.check()
        for one in decisions:
            match one:
                case Release():
                    self._release(one)
                case Cancel(request_id, attempt, replica):
                    name = f"{request_id}#{attempt}"
                    self._over(name, now_ns)
                    self.stations[replica].cancel(name)
                case Answer(source="device"):
                    self._on_device(event, one)
                case Reject() | Answer() | Finish():
                    self.last_ns = now_ns
                    self.lines[one.request_id].ended(now_ns, one)
                    if self.clients is not None:
                        self._perhaps_again(self.clients, one)
                case Charge():
                    self.lines[one.request_id].price_pusd = one.price_pusd
                case Wake(at_ns):
                    self.clock.at(at_ns, Turn.ARRIVE, lambda: self.tell(Time()), WAKES)

    def _arrive(self) -> None:
        plan = self._order[self._came]
        self._came += 1
        now_ns = self.clock.now_ns
        if self._came < len(self._order):
            self._arrival.ring_at(max(now_ns, self._order[self._came].intended_ns or 0))
        self._send(plan)

    def _send(self, plan: Planned) -> None:
        now_ns = self.clock.now_ns
        self.lines[plan.request_id].sent_ns = self.last_ns = now_ns
        patience_ns = self.patience_ns if self.clients is None else self.clients.patience_ns(plan)
        if patience_ns is not None:
            self.clock.at(now_ns + patience_ns, Turn.ARRIVE, lambda: self._impatient(plan.request_id), CLIENTS)
        self.tell(self.arrival(plan))

    def _perhaps_again(self, clients: Clients, end: Reject | Answer | Finish) -> None:
        again = clients.again(self.clock.now_ns, self.lines[end.request_id], end)
        if again is not None:
            self.lines[again.plan.request_id] = Line(again.plan)
            self.clock.at(again.at_ns, Turn.ARRIVE, lambda: self._send(again.plan), CLIENTS)

    def _on_device(self, event: Event, one: Answer) -> None:
        """Its own device computes, at its own speed: the plane is done with it, its client is not."""
        now_ns, line, hybrid = self.clock.now_ns, self.lines[one.request_id], self.plane.desk.hybrid
        assert isinstance(event, Arrived)  # nothing else is answered so
        assert hybrid is not None
        output_tok = line.plan.asked_output_tok
        first_ns, last_ns = hybrid.pace_ns(event.device, one.answer_of, line.plan.asked_prompt_tok, output_tok)
        each_ns = (last_ns - first_ns) // max(1, output_tok - 1)
        line.model, line.admit_ns, line.on_device = one.answer_of, now_ns, True

        def over() -> None:
            self.last_ns = self.clock.now_ns
            line.computed([now_ns + first_ns + i * each_ns for i in range(output_tok)])
        self.clock.at(now_ns + last_ns, Turn.END, over, CLIENTS)

    def _impatient(self, request_id: str) -> None:
        line = self.lines[request_id]
        if line.end_ns is None and not line.token_ns and not line.on_device:
            self.tell(Gone(request_id))

    def _release(self, one: Release) -> None:
        now_ns, line, name = self.clock.now_ns, self.lines[one.request_id], f"{one.request_id}#{one.attempt}"
        line.admit_ns, line.replica, line.model, line.attempts = now_ns, one.replica, one.model, one.attempt
        self._live[name] = one.request_id, one.attempt, one.replica, now_ns
        if self.overheads.in_ns:
            self.clock.at(now_ns + self.overheads.in_ns, Turn.ARRIVE, lambda: self._hand_over(name))
        else:
            self._hand_over(name)

    def _hand_over(self, name: str) -> None:
        if name not in self._live:
            return  # cancelled on the way
        request_id, _, replica, _ = self._live[name]
        station, plan = self.stations[replica], self.lines[request_id].plan
        if not station.up:
            self._later(name, Left(request_id, self._live[name][1], "unsent", error=DOWN))
            return
        refused = station.submit(Request(
            name, plan.asked_prompt_tok, plan.asked_output_tok, plan.prefix_ids, plan.prefix_tok, plan.priority))
        if refused is not None:
            self._later(name, Left(request_id, self._live[name][1], "refused", error=refused))

    def _later(self, name: str, event: Left) -> None:
        """Still in this instant, but not while a decision is carried out."""
        def tell() -> None:
            if name in self._live:
                self._over(name, self.clock.now_ns)
                self.tell(event)
        self.clock.at(self.clock.now_ns, Turn.END, tell, self._live[name][2])

    def _started(self, one: Started) -> None:
        line = self.lines[self._live[one.name][0]]
        if line.start_ns is None:
            line.start_ns = one.at_ns
        line.cached_tok = one.cached_tok

    def _seen(self, _: int, out: Sequence[Emitted]) -> None:
        """In the engine's order: its first byte, its end, then the next one's."""
        now_ns = self.clock.now_ns
        for name, tok, last in out:
            if name not in self._live:
                continue  # cancelled meanwhile
            request_id, attempt, _, _ = self._live[name]
            line = self.lines[request_id]
            first = not line.token_ns
            line.token_ns.extend([now_ns] * tok)
            if first:
                self.tell(FirstToken(request_id, attempt))
            if last:
                self._over(name, now_ns)
                self.tell(Left(request_id, attempt, "ok", line.plan.asked_prompt_tok, line.cached_tok,
                               len(line.token_ns)))

    def _fail(self, one: Failure) -> None:
        station = self.stations[one.replica]
        if one.down_ns is not None:
            self.clock.at(one.at_ns + one.down_ns, Turn.END, lambda: self._back(one.replica), FAILURES)
        lost = station.fail()
        self.tell(ReplicaDown(one.replica))
        for name in lost:
            if name in self._live:
                request_id, attempt, _, _ = self._live[name]
                self._over(name, self.clock.now_ns)
                self.tell(Left(request_id, attempt, "failure", error=DOWN))

    def _back(self, replica: int) -> None:
        self.stations[replica].up = True
        self.tell(ReplicaUp(replica))

    def _report(self) -> None:
        """After everything else of its instant, before any decision there; for as long as somebody is to come or in."""
        over = self._came == len(self._order) and not self.plane.desk.inside
        if over or self.clock.env.peek() == float("inf"):  # nothing will happen any more: who waits, waits for ever
            return
        for station in self.stations:
            if station.up:
                self.tell(station.report())
        assert self.report_ns is not None  # it was asked for
        self.clock.at(self.clock.now_ns + self.report_ns, Turn.END, self._report, REPORTS)

    def _over(self, name: str, now_ns: int) -> None:
        request_id, _, _, since_ns = self._live.pop(name)
        self.lines[request_id].engine_ns += now_ns - since_ns
