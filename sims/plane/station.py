"""A replica of the oracle under the control plane: attempts come, are cancelled, and are lost when it dies."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.plane.attempts import Attempts
from sims.record import NEVER
from sims.replica import Iteration, IterationTime, Replica, Request
from sims.rules import EngineRules
from workbench.control.plane.events import Report
from workbench.profile.ranges import RangeWatch

FIRST, LAST = 1, 2  # of an attempt's tokens; one token may be both
Out = Sequence[tuple[int, int]]  # (attempt, FIRST and LAST as bits) in the engine's order
Seen = Callable[["StationLike", Out], None]
PPM = 1_000_000


class StationLike(Protocol):
    """What the driver asks of a replica, however it computes. Attempts are places in `Attempts`. It tells `seen` of
    first and last tokens when the client has them. `held`: what waits for the network to heal (None: it is whole)."""

    number: int
    mode: str
    up: bool
    iterations: int  # completed
    preemptions: int
    held: list[Callable[[], None]] | None
    slow_x: float  # its next iterations take so many times as long as its profile says

    def submit(self, place: int) -> str | None:
        """Why it is refused, or None."""
        ...

    def cancel(self, place: int) -> None:
        """The iteration in progress still computes it; nothing of it is seen."""
        ...

    def fail(self) -> list[int]:
        """It stops at once: who was inside, in order of submission. Its caches are empty when it comes back. To be
        called when all that ends at this moment has ended."""
        ...

    def given(self, places: Sequence[int], before_ns: int) -> list[int]:
        """After `fail`: how many tokens the client of each would have before that moment."""
        ...

    def report(self) -> Report:
        """What it says of itself now, with the iteration in progress. Blocks that only a cache keeps are free."""
        ...

    def settle(self, stop_ns: int) -> None:
        """The run is over."""
        ...

    def busy_ns(self, until_ns: int) -> int: ...


class PlaneStation:
    """One event an iteration."""

    mode = "oracle"

    def __init__(self, clock: Clock, number: int, rules: EngineRules, timing: IterationTime, overheads: Overheads,
                 attempts: Attempts, seen: Seen) -> None:
        self.clock, self.number, self.out_ns, self.attempts, self._seen = (
            clock, number, overheads.out_ns, attempts, seen)
        self._watch = timing if isinstance(timing, RangeWatch) else None  # is told of an iteration when it has ended
        self._make = rules, timing.profile if isinstance(timing, RangeWatch) else timing, overheads.admit_ns
        self.replica, self.up, self.slow_x = self._fresh(), True, 1.0
        self.held: list[Callable[[], None]] | None = None
        self.inside: dict[str, int] = {}  # in order of submission
        self.token_ns: dict[int, list[int]] = {}  # when the client would see them
        self.current: Iteration | None = None
        self._deciding = False
        self.iterations = self._busy_ns = self.preemptions = 0
        self._end_alarm = clock.alarm(Turn.END, self._end, number)
        self._decision = clock.alarm(Turn.DECIDE, self._decide, number)

    def _fresh(self) -> Replica:
        rules, timing, admit_ns = self._make
        return Replica(rules, timing, admit_ns=admit_ns)

    def submit(self, place: int) -> str | None:
        attempts = self.attempts
        plan = attempts.schedule[place]
        name = f"{plan.request_id}#{attempts.number[place]}"
        reason = self.replica.submit(self.clock.now_ns, Request(
            name, plan.asked_prompt_tok, plan.asked_output_tok, plan.prefix_ids, plan.prefix_tok, plan.priority))
        if reason is None:
            self.inside[name] = place
            if self.current is None and not self._deciding:
                self._deciding = True
                self._decision.set(0)
        return reason

    def cancel(self, place: int) -> None:
        name = f"{self.attempts.schedule[place].request_id}#{self.attempts.number[place]}"
        if name in self.inside:
            del self.inside[name]
            self.replica.cancel(name)

    def fail(self) -> list[int]:
        lost = list(self.inside.values())
        if self.current is not None:
            self._busy_ns += self.clock.now_ns - self.current.start_ns
        self.inside, self.current, self.up = {}, None, False
        self.preemptions += self.replica.preemptions
        self.replica = self._fresh()
        return lost

    def given(self, places: Sequence[int], before_ns: int) -> list[int]:
        return [bisect_left(self.token_ns.get(place, ()), before_ns) for place in places]

    def report(self) -> Report:
        kv: Any = getattr(self.replica.batcher, "kv", None)  # llama.cpp's slots have no blocks
        used_ppm = 0 if kv is None else (kv.capacity - kv.free) * PPM // kv.capacity
        return Report(self.number, self.clock.now_ns, self.replica.waiting_n, self.replica.running_n, used_ppm)

    def settle(self, stop_ns: int) -> None:
        if self.up:
            self.preemptions += self.replica.preemptions
        for place, times in self.token_ns.items():
            if times[-1] > stop_ns:
                self.token_ns[place] = [at_ns for at_ns in times if at_ns <= stop_ns]

    def busy_ns(self, until_ns: int) -> int:
        return self._busy_ns + (until_ns - self.current.start_ns if self.current else 0)

    def _decide(self) -> None:
        self._deciding = False
        if self.current is not None:  # an alarm of before it died
            return
        self.replica.slow_x = self.slow_x
        iteration = self.replica.step(self.clock.now_ns)
        if iteration is None:
            return
        self.current, attempts = iteration, self.attempts
        cached = iteration.cached_tok or (0,) * len(iteration.started)
        for name, tok in zip(iteration.started, cached, strict=True):
            place = self.inside.get(name, NEVER)  # composed ahead, and cancelled since
            if place != NEVER and attempts.start_ns[place] == NEVER:
                attempts.start_ns[place], attempts.cached_tok[place] = iteration.start_ns, tok
        for name in iteration.preempted:
            if name in self.inside:
                attempts.preemptions[self.inside[name]] += 1
        self._end_alarm.set(iteration.end_ns - iteration.start_ns)

    def _end(self) -> None:
        iteration = self.current
        if iteration is None or iteration.end_ns != self.clock.now_ns:  # an alarm of before it died
            return
        self.current = None
        self.iterations += 1
        self._busy_ns += iteration.end_ns - iteration.start_ns
        if self._watch is not None:
            self._watch.ran(iteration.batches or (iteration.batch,))
        out = self._emit(iteration)
        self._deciding = True  # whatever is submitted by what follows belongs to the same decision
        if out:
            if self.out_ns:
                self.clock.at(self.clock.now_ns + self.out_ns, Turn.END, lambda: self._seen(self, out), self.number)
            else:
                self._seen(self, out)
        self._decision.set(0)

    def _emit(self, iteration: Iteration) -> Out:
        done, out, seen_ns = set(iteration.finished), [], iteration.end_ns + self.out_ns
        for name, tok in zip(iteration.emitted, iteration.tokens or (1,) * len(iteration.emitted), strict=True):
            place = self.inside.get(name)
            if place is None:  # cancelled meanwhile
                continue
            bits = LAST if name in done else 0
            if place not in self.token_ns:
                bits |= FIRST
                self.token_ns[place] = []
            self.token_ns[place].extend([seen_ns] * tok)
            if bits:
                out.append((place, bits))
            if bits & LAST:
                del self.inside[name]
        return out
