"""Did a series drift while it was measured? A straight line through its batch means, and how sure its slope is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

BATCHES = 10
MIN_PER_BATCH = 3


@dataclass(frozen=True, slots=True)
class Trend:
    """`change_frac` is the line's rise over the whole series, over the mean. None, and why, where too few values."""

    change_frac: float | None
    p: float | None  # two-sided, of no slope
    n: int
    why_not: str | None = None

    def drifts(self, level: float = 0.01, least_frac: float = 0.1) -> bool | None:
        """Both: more than chance, and enough to matter. None where it cannot be told."""
        if self.p is None or self.change_frac is None:
            return None
        return self.p < level and abs(self.change_frac) > least_frac


def trend(values: NDArray[np.float64]) -> Trend:
    """`values` in order of time. Means of ten consecutive batches are nearly independent where single values of one
    queue are not, so that the t-test of the slope means something."""
    n = len(values)
    size = n // BATCHES
    if size < MIN_PER_BATCH:
        return Trend(None, None, n, f"{n} values are too few: at least {BATCHES * MIN_PER_BATCH}")
    means = values[: size * BATCHES].reshape(BATCHES, size).mean(axis=1)
    middle = float(means.mean())
    if middle == 0 or float(np.ptp(means)) == 0:
        return Trend(0.0, 1.0, n)
    found = stats.linregress(np.arange(BATCHES, dtype=np.float64), means)
    return Trend(float(found.slope) * (BATCHES - 1) / abs(middle), float(found.pvalue), n)
