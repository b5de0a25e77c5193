"""Requests in flight for each replica, averaged over a stable window, or over a short one in panic."""

from collections import deque

from workbench.control.capacity.protocol import PPM, Observed, ceil_div
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole

SECOND = 1_000_000_000


class Window(Clock):
    """The mean of what was sampled within a while, this sample included."""

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self._samples: deque[tuple[int, int]] = deque()
        self._sum = 0

    def add(self, now_ns: int, value: int) -> tuple[int, int]:
        """Sum and count, to be divided where it is used."""
        self._tick(now_ns)
        self._samples.append((now_ns, value))
        self._sum += value
        while self._samples[0][0] <= now_ns - self.length_ns:
            self._sum -= self._samples.popleft()[1]
        return self._sum, len(self._samples)


class Concurrency:
    """Wanted = mean in flight / `target`, rounded up. Where the short window wants `panic_ppm` of what is ready or
    more, it is panic: the short window decides and nothing is scaled in, until a stable window passed without reason.

    Source: knative.dev, "Additional autoscaling configuration for Knative Pod Autoscaler" (defaults: 60 s, 10 % of it,
    200 %) and its autoscaler (rates of change 1000 and 2: at most so many times more or fewer in one step).
    """

    def __init__(
        self, target: int, stable_ns: int = 60 * SECOND, panic_window_ppm: int = 100_000, panic_ppm: int = 2 * PPM,
        most_out: int = 1000, most_in: int = 2,
    ) -> None:
        self.target, self.stable_ns = whole("target", target), whole("stable_ns", stable_ns)
        if not 0 < panic_window_ppm <= PPM:
            raise ValueError(f"panic_window_ppm: {panic_window_ppm} is not above 0 and at most {PPM}")
        self.panic_ppm = whole("panic_ppm", panic_ppm, least=PPM + 1)
        self.most_out, self.most_in = whole("most_out", most_out, least=2), whole("most_in", most_in, least=2)
        self._stable, self._short = Window(stable_ns), Window(max(1, stable_ns * panic_window_ppm // PPM))
        self._panic_until_ns = 0
        self._most = 0  # wanted so far in this panic

    def decide(self, now_ns: int, observed: Observed) -> int:
        in_flight, ready = observed.running + observed.waiting, max(1, observed.ready)
        stable, short = (self._wanted(*window.add(now_ns, in_flight)) for window in (self._stable, self._short))
        low, high = ready // self.most_in, ready * self.most_out
        stable, short = max(low, min(high, stable)), max(low, min(high, short))
        if short * PPM >= ready * self.panic_ppm:
            if now_ns >= self._panic_until_ns:
                self._most = 0
            self._panic_until_ns = now_ns + self.stable_ns
        if now_ns >= self._panic_until_ns:
            return stable
        self._most = max(self._most, observed.replicas, stable, short)
        return self._most

    def _wanted(self, total: int, samples: int) -> int:
        return ceil_div(total, samples * self.target)
