"""Where a run's warm-up ends, from the values alone: MSER-5.

White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69(6), 1997; batches of
five: White, Cobb and Spratt, "A comparison of five steady-state truncation heuristics for simulation", WSC 2000.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCH = 5
MIN_BATCHES = 10  # fewer say nothing about where a steady state begins


@dataclass(frozen=True, slots=True)
class Warmup:
    """`cut` values from the beginning are to be left out of `n`; None where no steady state shows, and then why."""

    cut: int | None
    n: int
    why_not: str | None = None


def mser5(values: NDArray[np.float64]) -> Warmup:
    """The truncation that makes the mean of the rest most certain: argmin over d of sum (y_i - mean)^2 / (m - d)^2.

    `values` in order of time, one a request; y are means of five. A minimum in the second half is refused: then the
    rest is too short to be called steady. The statistic trusts a short, flat tail too much, so candidates leave at
    least five batches.
    """
    n = len(values)
    m = n // BATCH
    if m < MIN_BATCHES:
        return Warmup(None, n, f"{n} values are too few: at least {BATCH * MIN_BATCHES}")
    means = values[: m * BATCH].reshape(m, BATCH).mean(axis=1)
    centred = means - means.mean()  # the sums below cancel less
    left = np.arange(m, 0, -1)
    sums, squares = np.cumsum(centred[::-1])[::-1], np.cumsum(centred[::-1] ** 2)[::-1]
    spread = np.maximum(squares - sums**2 / left, 0.0) / left.astype(np.float64) ** 2
    best = int(np.argmin(spread[: m - 4]))
    if best > m // 2:
        return Warmup(None, n, f"MSER-5 would cut {best * BATCH} of {n} values, more than half: no steady state shows")
    return Warmup(best * BATCH, n)
