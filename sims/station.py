"""A replica on the clock: it steps whenever it is idle and has work, and again at each iteration's end."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.record import NEVER, Record
from sims.replica import Iteration, IterationTime, Replica, Request
from sims.rules import EngineRules
from workbench.profile.ranges import RangeWatch
from workbench.runlog.schema import Planned

Mode = Literal["macro", "iteration", "oracle"]
Ended = Callable[[int, Sequence[int]], None]  # (replica, who finished, by place in the schedule) at an iteration's end


class StationLike(Protocol):
    """What a cluster asks of a replica on the clock, however it computes. Requests are places in the schedule."""

    @property
    def mode(self) -> str: ...

    @property
    def iterations(self) -> int:
        """Completed."""
        ...

    @property
    def sequences(self) -> int:
        """Sum over completed iterations of the sequences in the batch."""
        ...

    @property
    def preemptions(self) -> int: ...

    def refusal(self, planned: Planned) -> str | None: ...

    def submit(self, index: int) -> None: ...

    def settle(self, stop_ns: int) -> None:
        """The run is over."""
        ...

    def busy_ns(self, until_ns: int) -> int: ...


class Station:
    """Drives one replica of the oracle and writes down what it did, iteration by iteration."""

    mode = "oracle"

    def __init__(
        self, clock: Clock, number: int, rules: EngineRules, timing: IterationTime, overheads: Overheads,
        record: Record, ended: Ended, trace: list[tuple[int, Iteration]] | None = None,
        request: Callable[[Planned], Request] | None = None,
    ) -> None:
        self.clock, self.number, self.record, self.out_ns, self.ended = clock, number, record, overheads.out_ns, ended
        self._watch = timing if isinstance(timing, RangeWatch) else None  # is told of an iteration when it has ended
        asked = timing.profile if isinstance(timing, RangeWatch) else timing
        self.replica = Replica(rules, asked, admit_ns=overheads.admit_ns)
        self.trace, self._request = trace, request or request_of
        self.current: Iteration | None = None
        self._index: dict[str, int] = {}
        self._deciding = False
        self._busy_ns = 0
        self.iterations = self.sequences = self.preemptions = 0
        self._end_alarm = clock.alarm(Turn.END, self._end, number)
        self._decision = clock.alarm(Turn.DECIDE, self._decide, number)

    def refusal(self, planned: Planned) -> str | None:
        return self.replica.refusal(self._request(planned))

    def submit(self, index: int) -> None:
        planned = self.record.schedule[index]
        self._index[planned.request_id] = index
        self.replica.submit(self.clock.now_ns, self._request(planned))
        if self.current is None and not self._deciding:
            self._deciding = True  # once everybody had a turn who arrives or ends at this instant
            self._decision.set(0)

    def settle(self, stop_ns: int) -> None:  # noqa: ARG002 - part of the protocol
        self.preemptions = self.replica.preemptions

    def busy_ns(self, until_ns: int) -> int:
        """Time spent in iterations up to `until_ns`, of the one in progress only the part that has passed."""
        return self._busy_ns + (until_ns - self.current.start_ns if self.current else 0)

    def _decide(self) -> None:
        self._deciding = False
        iteration = self.replica.step(self.clock.now_ns)
        if iteration is not None:
            self.current = iteration
            self._began(iteration)
            self._end_alarm.set(iteration.end_ns - iteration.start_ns)

    def _end(self) -> None:
        iteration, self.current = self.current, None
        assert iteration is not None
        self._busy_ns += iteration.end_ns - iteration.start_ns
        self.iterations += 1
        if self._watch is not None:
            self._watch.ran(iteration.batches or (iteration.batch,))
        self.sequences += iteration.batch.decode_n + len(iteration.batch.prefills)
        self._deciding = True  # whatever is submitted by what follows belongs to the same decision
        self._ended(iteration)
        if self.clock.last_of_instant:
            self._decide()
        else:
            self._decision.set(0)

    def _began(self, iteration: Iteration) -> None:
        record = self.record
        cached = iteration.cached_tok or (0,) * len(iteration.started)
        for name, cached_tok in zip(iteration.started, cached, strict=True):
            index = self._index[name]
            if record.start_ns[index] == NEVER:
                record.start_ns[index], record.cached_tok[index] = iteration.start_ns, cached_tok
        for name in iteration.preempted:
            record.preemptions[self._index[name]] += 1

    def _ended(self, iteration: Iteration) -> None:
        if self.trace is not None:
            self.trace.append((self.number, iteration))
        seen_ns, tokens = iteration.end_ns + self.out_ns, iteration.tokens or (1,) * len(iteration.emitted)
        for name, n in zip(iteration.emitted, tokens, strict=True):
            self.record.token_ns.setdefault(self._index[name], []).extend([seen_ns] * n)
        if iteration.finished:
            self.ended(self.number, [self._index[name] for name in iteration.finished])


def request_of(planned: Planned) -> Request:
    return Request(
        planned.request_id, planned.asked_prompt_tok, planned.asked_output_tok, planned.prefix_ids,
        planned.prefix_tok, planned.priority)
