"""How steady this machine is: the same small piece of work, timed again and again."""

import statistics
import time
from dataclasses import dataclass

PIECES = 150
NOISY_FRAC = 0.25  # p95 over median; a quiet machine stays near 0.05


@dataclass(frozen=True, slots=True)
class Noise:
    """Times of equal pieces of work. `spread_frac` is how far the 95th percentile lies above the median."""

    pieces: int
    median_s: float
    spread_frac: float
    waited_frac: float  # wall time in which this process did not get the processor

    @property
    def quiet(self) -> bool:
        return self.spread_frac <= NOISY_FRAC and self.waited_frac <= NOISY_FRAC


def measure(pieces: int = PIECES) -> Noise:
    """About half a second of work on one core."""
    wall, cpu = time.perf_counter(), time.process_time()
    times = [_piece() for _ in range(pieces)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    median = statistics.median(times)
    p95 = sorted(times)[int(0.95 * (pieces - 1))]
    return Noise(pieces, median, p95 / median - 1, max(0.0, 1 - cpu / wall))


def _piece() -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(30_000):
        total += number * number
    assert total > 0
    return time.perf_counter() - begun
