"""Around any autoscaler: bounds, stabilisation, and protection of what must not stop."""

from collections import deque

from workbench.control.capacity.protocol import Autoscaler, Observed
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole

SECOND = 1_000_000_000


class Best(Clock):
    """The greatest value of a window (or the least, of negated ones), in amortised constant time."""

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self._falling: deque[tuple[int, int]] = deque()

    def add(self, now_ns: int, value: int) -> int:
        self._tick(now_ns)
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((now_ns, value))
        while self._falling[0][0] < now_ns - self.length_ns:
            self._falling.popleft()
        return self._falling[0][1]


class Steady:
    """Scales in to the greatest recommendation of `in_ns`, out to the least of `out_ns`, in one step by at most
    `most_out` and `most_in` replicas (None: any), within `least` and `most`, never below what is protected.

    Source: kubernetes.io, Horizontal Pod Autoscaling, "Stabilization window" (300 s and 0), "Scaling policies".
    With `in_ns` no shorter than a noise's period, a load around a constant never makes it go in and out again.
    """

    def __init__(
        self, autoscaler: Autoscaler, least: int = 1, most: int = 1_000, in_ns: int = 300 * SECOND, out_ns: int = 0,
        most_in: int | None = None, most_out: int | None = None,
    ) -> None:
        self.autoscaler = autoscaler
        self.least, self.most = whole("least", least, least=0), whole("most", most)
        if least > most:
            raise ValueError(f"least: {least} is more than most {most}")
        self.in_ns, self.out_ns = whole("in_ns", in_ns, least=0), whole("out_ns", out_ns, least=0)
        self.most_in = None if most_in is None else whole("most_in", most_in)
        self.most_out = None if most_out is None else whole("most_out", most_out)
        self._greatest, self._least_of = Best(in_ns), Best(out_ns)

    def decide(self, now_ns: int, observed: Observed) -> int:
        raw, now = self.autoscaler.decide(now_ns, observed), observed.replicas
        highest, lowest = self._greatest.add(now_ns, raw), -self._least_of.add(now_ns, -raw)
        wanted = now
        if lowest > now:
            wanted = lowest if self.most_out is None else min(lowest, now + self.most_out)
        elif highest < now:
            wanted = highest if self.most_in is None else max(highest, now - self.most_in)
        floor = min(observed.protected, now)
        return max(min(max(wanted, self.least), self.most), floor)
