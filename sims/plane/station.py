"""A replica of the oracle under the control plane: attempts come, are cancelled, and are lost when it dies."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.replica import Iteration, IterationTime, Replica, Request
from sims.rules import EngineRules
from workbench.control.plane.events import Report


class Emitted(NamedTuple):
    """An iteration ended: this attempt got so many tokens, and perhaps its last."""

    name: str
    tok: int
    last: bool


class Started(NamedTuple):
    """Its prompt begins to be computed; so much of it is cached."""

    name: str
    at_ns: int
    cached_tok: int


Seen = Callable[[int, Sequence[Emitted]], None]


class PlaneStation:
    """Tells `seen` what came out at each iteration's end, `out_ns` later."""

    def __init__(self, clock: Clock, number: int, rules: EngineRules, timing: IterationTime, overheads: Overheads,
                 seen: Seen, started: Callable[[Started], None]) -> None:
        self.clock, self.number, self.out_ns, self._seen, self._started = clock, number, overheads.out_ns, seen, started
        self._make = rules, timing, overheads.admit_ns
        self.replica, self.up = self._fresh(), True
        self.inside: dict[str, None] = {}  # in order of submission
        self.current: Iteration | None = None
        self._deciding = False
        self.iterations = self._busy_ns = self.preemptions = 0
        self._end_alarm = clock.alarm(Turn.END, self._end, number)
        self._decision = clock.alarm(Turn.DECIDE, self._decide, number)

    def _fresh(self) -> Replica:
        rules, timing, admit_ns = self._make
        return Replica(rules, timing, admit_ns=admit_ns)

    def submit(self, request: Request) -> str | None:
        """Why it is refused, or None."""
        reason = self.replica.submit(self.clock.now_ns, request)
        if reason is None:
            self.inside[request.request_id] = None
            if self.current is None and not self._deciding:
                self._deciding = True
                self._decision.set(0)
        return reason

    def cancel(self, name: str) -> None:
        """The iteration in progress still computes it; nothing of it is seen."""
        if name in self.inside:
            del self.inside[name]
            self.replica.cancel(name)

    def fail(self) -> list[str]:
        """It dies: who was inside, in order of submission. Its caches are empty when it comes back."""
        lost, self.inside, self.current, self.up = list(self.inside), {}, None, False
        self.preemptions += self.replica.preemptions
        self.replica = self._fresh()
        return lost

    def report(self) -> Report:
        """What it says of itself now. Blocks that only the prefix cache keeps are free."""
        batcher = self.replica.batcher
        kv = getattr(batcher, "kv", None)  # llama.cpp's slots have no blocks
        used_ppm = 0 if kv is None else (kv.capacity - kv.free) * 1_000_000 // kv.capacity
        return Report(self.number, self.clock.now_ns, self.replica.waiting_n, self.replica.running_n, used_ppm)

    def busy_ns(self, until_ns: int) -> int:
        return self._busy_ns + (until_ns - self.current.start_ns if self.current else 0)

    def _decide(self) -> None:
        self._deciding = False
        if self.current is not None:  # an alarm of before it died
            return
        iteration = self.replica.step(self.clock.now_ns)
        if iteration is None:
            return
        self.current = iteration
        cached = iteration.cached_tok or (0,) * len(iteration.started)
        for name, tok in zip(iteration.started, cached, strict=True):
            self._started(Started(name, iteration.start_ns, tok))
        self._end_alarm.set(iteration.end_ns - iteration.start_ns)

    def _end(self) -> None:
        iteration = self.current
        if iteration is None or iteration.end_ns != self.clock.now_ns:  # an alarm of before it died
            return
        self.current = None
        self.iterations += 1
        self._busy_ns += iteration.end_ns - iteration.start_ns
        done = set(iteration.finished)
        out = [Emitted(name, tok, name in done)
               for name, tok in zip(iteration.emitted, iteration.tokens or (1,) * len(iteration.emitted), strict=True)
               if name in self.inside]
        for one in out:
            if one.last:
                del self.inside[one.name]
        self._deciding = True  # whatever is submitted by what follows belongs to the same decision
        if out:
            if self.out_ns:
                self.clock.at(self.clock.now_ns + self.out_ns, Turn.END, lambda: self._seen(self.number, out),
                              self.number)
            else:
                self._seen(self.number, out)
        self._decision.set(0)
