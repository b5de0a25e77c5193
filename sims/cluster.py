"""Requests, a front door and replicas on one clock."""

from array import array
from collections.abc import Sequence

import numpy as np

from sims.clock import Clock, Turn
from sims.disaggregated import Disaggregated
from sims.macro.premises import unmet
from sims.macro.station import MacroStation
from sims.overheads import Overheads
from sims.record import Record
from sims.replica import Iteration, IterationTime
from sims.rules import DisaggregatedRules, Rules, VllmRules
from sims.station import Mode, Station, StationLike
from workbench.control.events import Arrived, Event, Left
from workbench.control.front_door import FrontDoor
from workbench.control.journal import Entry
from workbench.runlog.schema import Planned, followers


class Cluster:
    """Drives a front door and its replicas through a schedule.

    Open loop: `arrivals_ns` says when each request of the schedule arrives. Closed loop (`concurrency`): the
    next one arrives the moment one leaves. `area_ns` integrates the number of requests inside as it changes.

    A later turn of a session arrives when the turn before it has left and its own `think_ns` are over; until its last
    turn has left, a session holds its place of a closed loop.
    """

    def __init__(
        self, schedule: Sequence[Planned], arrivals_ns: Sequence[int] | None, door: FrontDoor, rules: Rules,
        timing: IterationTime, overheads: Overheads, *, replicas: int, concurrency: int | None = None,
        keep_journal: bool = True, keep_iterations: bool = False, mode: Mode = "macro",
    ) -> None:
        self.clock, self.door, self.overheads, self.schedule = Clock(), door, overheads, schedule
        self.record = Record(schedule)
        self.journal: list[Entry] | None = [] if keep_journal else None
        self.trace: list[tuple[int, Iteration]] | None = [] if keep_iterations else None
        self.area_ns, self.last_ns, self._inside, self._changed_ns = 0, 0, 0, 0
        self.why_oracle = "asked for" if mode == "oracle" else unmet(rules)
        if keep_iterations and self.why_oracle is None:
            self.why_oracle = "every iteration is kept"
        self.stations = [self._station(number, rules, timing, mode) for number in range(replicas)]
        self._refusal = self.stations[0].refusal
        self._at_door: dict[str, int] = {}
        self._closed, self._came = arrivals_ns is None, 0
        n = len(schedule)
        self._times = array("q", [0]) * n if arrivals_ns is None else array("q", arrivals_ns)
        self._next_turn = followers(schedule)
        self._pondering = 0
        order = np.arange(n)
        if not self._closed:  # ties by place in the schedule
            order = np.argsort(np.frombuffer(self._times, dtype=np.int64), kind="stable")
        if self._next_turn:
            order = order[[not schedule[i].after for i in order.tolist()]]
        self._order = array("q", order.astype(np.int64).tobytes())
        self._arrival = self.clock.alarm(Turn.ARRIVE, self._arrive)
        if not self._closed:
            self._arrival.set(self._times[self._order[0]])
        for _ in range(0 if concurrency is None else min(concurrency, len(self._order))):
            self._arrival.set(0)

    @property
    def mode(self) -> str:
        """What ran: `macro`, `iteration` (the same, one iteration a jump) or `oracle`."""
        return self.stations[0].mode

    def run(self, horizon_ns: int | None) -> int:
        """Returns when the run stopped; a request inside at that moment stays unfinished."""
        self.clock.run(horizon_ns)
        going = self._inside or self._pondering or self._came < len(self._order)
        stop_ns = horizon_ns if going and horizon_ns is not None else self.last_ns
        self._count(0, stop_ns)
        for station in self.stations:
            station.settle(stop_ns)
        self.record.settle(stop_ns)
        return stop_ns

    def forget(self) -> None:
        """Everything was read: let go of what grows with the requests (alarms and stations refer to each other)."""
        self._order, self._times, self._next_turn = array("q"), array("q"), {}
        self.record.forget()

    def _station(self, number: int, rules: Rules, timing: IterationTime, mode: Mode) -> StationLike:
        ended = self._leave_later if self.overheads.out_ns else self._leave
        if isinstance(rules, DisaggregatedRules):
            return Disaggregated(self.clock, number, rules, timing, self.overheads, self.record, ended, self.trace)
        if self.why_oracle is not None or not isinstance(rules, VllmRules):
            return Station(self.clock, number, rules, timing, self.overheads, self.record, ended, self.trace)
        return MacroStation(
            self.clock, number, rules, timing, self.overheads, self.record, ended, single=mode == "iteration")

    def _arrive(self) -> None:
        """The next request of the schedule is here; in an open loop the one after it is awaited."""
        place = self._came
        if place >= len(self._order):
            return
        self._came = place + 1
        index = self._order[place]
        if not self._closed and place + 1 < len(self._order):
            self._arrival.set(self._times[self._order[place + 1]] - self.clock.env._now)
        self._enter(index)

    def _enter(self, index: int) -> None:
        now_ns = self.clock.env._now
        planned, record = self.schedule[index], self.record
        record.sent_ns[index] = self.last_ns = now_ns
        refusal = self._refusal(planned)
        if refusal is not None:
            record.refusals[index] = refusal
            record.left_ns[index] = now_ns
            self._drop(index)
            if self._closed:
                self._arrival.set(0)
            return
        self.area_ns += self._inside * (now_ns - self._changed_ns)
        self._inside += 1
        self._changed_ns = now_ns
        self._at_door[planned.request_id] = index
        self._tell(now_ns, Arrived(
            planned.request_id, planned.asked_prompt_tok, planned.asked_prompt_tok, planned.tenant, planned.tier))

    def _tell(self, now_ns: int, event: Event) -> None:
        decisions = self.door.on(now_ns, event)
        if self.journal is not None:
            self.journal.append(Entry(now_ns, event, decisions))
        for name, replica in decisions:
            index = self._at_door.pop(name)
            self.record.admit_ns[index], self.record.replica[index] = now_ns, replica
            if self.overheads.in_ns:
                self._hand_over_later(index, replica)
            else:
                self.stations[replica].submit(index)

    def _hand_over_later(self, index: int, replica: int) -> None:
        submit = self.stations[replica].submit
        self.clock.at(self.clock.now_ns + self.overheads.in_ns, Turn.ARRIVE, lambda: submit(index))

    def _leave_later(self, number: int, finished: Sequence[int]) -> None:
        seen_ns = self.clock.now_ns + self.overheads.out_ns
        self.clock.at(seen_ns, Turn.END, lambda: self._leave(number, finished), number)

    def _leave(self, _: int, finished: Sequence[int]) -> None:
        now_ns = self.last_ns = self.clock.env._now
        for index in finished:
            self.record.left_ns[index] = now_ns
            self._count(-1, now_ns)
            self._tell(now_ns, Left(self.schedule[index].request_id))
            if index in self._next_turn:
                self._ponder(self._next_turn[index])
            elif self._closed and self._came < len(self._order):
                self._arrival.set(0)

    def _ponder(self, index: int) -> None:
        """The session goes on with this turn."""
        self._pondering += 1

        def said() -> None:
            self._pondering -= 1
            self._enter(index)

        self.clock.at(self.clock.now_ns + self.schedule[index].think_ns, Turn.ARRIVE, said)

    def _drop(self, index: int) -> None:
        """What would have followed a turn that was refused never comes."""
        name = self.schedule[index].request_id
        while (follower := self._next_turn.get(index)) is not None:
            index = follower
            self.record.dropped[index] = f"not sent: turn {name} of its session was rejected"

    def _count(self, change: int, now_ns: int) -> None:
        self.area_ns += self._inside * (now_ns - self._changed_ns)
        self._inside += change
        self._changed_ns = now_ns
