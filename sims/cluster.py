"""Requests, a front door and replicas on one clock."""

from collections.abc import Sequence

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.record import Record
from sims.replica import Iteration, IterationTime, Replica, Request
from sims.rules import Rules
from sims.station import Station
from workbench.control.events import Arrived, Event, Left
from workbench.control.front_door import FrontDoor
from workbench.control.journal import Entry
from workbench.runlog.schema import Planned


class Cluster:
    """Drives a front door and its replicas through a schedule.

    Open loop: `arrivals_ns` says when each request of the schedule arrives. Closed loop (`concurrency`): the
    next one arrives the moment one leaves. `area_ns` integrates the number of requests inside as it changes.
    """

    def __init__(
        self, schedule: Sequence[Planned], arrivals_ns: Sequence[int] | None, door: FrontDoor, rules: Rules,
        timing: IterationTime, overheads: Overheads, *, replicas: int, concurrency: int | None = None,
        keep_journal: bool = True, keep_iterations: bool = False,
    ) -> None:
        self.clock, self.door, self.overheads = Clock(), door, overheads
        self.records = {planned.request_id: Record(planned) for planned in schedule}
        self.journal: list[Entry] | None = [] if keep_journal else None
        self.trace: list[tuple[int, Iteration]] | None = [] if keep_iterations else None
        self.area_ns, self._inside, self._changed_ns = 0, 0, 0
        self.stations = [self._station(number, rules, timing) for number in range(replicas)]
        self._closed = arrivals_ns is None
        order = range(len(schedule)) if arrivals_ns is None else sorted(
            range(len(schedule)), key=lambda i: (arrivals_ns[i], i))
        self._coming = iter([(arrivals_ns[i] if arrivals_ns is not None else 0, schedule[i]) for i in order])
        for _ in range(1 if concurrency is None else concurrency):
            self._await_next()

    def run(self, horizon_ns: int | None) -> int:
        """Returns when the run stopped; a request inside at that moment stays unfinished."""
        stop_ns = self.clock.run(horizon_ns)
        self._count(0, stop_ns)
        return stop_ns

    def _station(self, number: int, rules: Rules, timing: IterationTime) -> Station:
        replica = Replica(rules, timing, admit_ns=self.overheads.admit_ns)
        return Station(
            self.clock, replica, began=self._began, ended=lambda iteration: self._ended(number, iteration)
        )

    def _await_next(self) -> None:
        following = next(self._coming, None)
        if following is not None:
            when_ns, planned = following
            when_ns = self.clock.now_ns if self._closed else when_ns
            self.clock.at(when_ns, Turn.ARRIVE, lambda: self._arrive(planned))

    def _arrive(self, planned: Planned) -> None:
        if not self._closed:
            self._await_next()
        record, now_ns = self.records[planned.request_id], self.clock.now_ns
        record.sent_ns = now_ns
        record.refusal = self.stations[0].replica.refusal(_request(planned))
        if record.refusal is not None:
            record.left_ns = now_ns
            if self._closed:
                self._await_next()
            return
        self._count(+1, now_ns)
        self._tell(Arrived(
            planned.request_id, planned.asked_prompt_tok, estimated_tok=planned.asked_prompt_tok,
            tenant=planned.tenant, tier=planned.tier,
        ))

    def _tell(self, event: Event) -> None:
        now_ns = self.clock.now_ns
        decisions = self.door.on(now_ns, event)
        if self.journal is not None:
            self.journal.append(Entry(now_ns, event, decisions))
        for release in decisions:
            record = self.records[release.request_id]
            record.admit_ns, record.replica = now_ns, release.replica
            self._hand_over(record.planned, release.replica)

    def _hand_over(self, planned: Planned, replica: int) -> None:
        station, request = self.stations[replica], _request(planned)
        if not self.overheads.in_ns:
            station.submit(request)
            return
        self.clock.at(self.clock.now_ns + self.overheads.in_ns, Turn.ARRIVE, lambda: station.submit(request))

    def _began(self, iteration: Iteration) -> None:
        for name in iteration.started:
            record = self.records[name]
            record.start_ns = iteration.start_ns if record.start_ns is None else record.start_ns
        for name in iteration.preempted:
            self.records[name].preemptions += 1

    def _ended(self, number: int, iteration: Iteration) -> None:
        if self.trace is not None:
            self.trace.append((number, iteration))
        seen_ns = iteration.end_ns + self.overheads.out_ns
        for name in iteration.emitted:
            self.records[name].token_ns.append(seen_ns)
        if not iteration.finished:
            return
        if not self.overheads.out_ns:
            self._leave(iteration.finished)
            return
        self.clock.at(seen_ns, Turn.END, lambda: self._leave(iteration.finished))

    def _leave(self, finished: Sequence[str]) -> None:
        for name in finished:
            self.records[name].left_ns = self.clock.now_ns
            self._count(-1, self.clock.now_ns)
            self._tell(Left(name))
            if self._closed:
                self._await_next()

    def _count(self, change: int, now_ns: int) -> None:
        self.area_ns += self._inside * (now_ns - self._changed_ns)
        self._inside += change
        self._changed_ns = now_ns


def _request(planned: Planned) -> Request:
    return Request(planned.request_id, planned.asked_prompt_tok, planned.asked_output_tok)
