"""Intervals: Student t over independent repeats, batch means for one long run, Wilson for independent items."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its two-sided confidence interval, from n independent values."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference may be called one."""
        return self.low > 0 or self.high < 0


def t_interval(values: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Student's t over independent values; needs at least two."""
    n = len(values)
    if n < 2:
        raise ValueError("an interval needs at least two independent values")
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def batch_means(values: NDArray[np.float64], batches: int = 10, level: float = 0.95) -> Interval:
    """Interval of the mean of one correlated series: t over the means of equal, consecutive batches."""
    size = len(values) // batches
    if size < 1 or batches < 2:
        raise ValueError(f"{len(values)} values cannot make {batches} batches")
    means = values[: size * batches].reshape(batches, size).mean(axis=1)
    return t_interval(means, level)


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion: only for independent items, never for one queue's requests."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no proportion")
    found = wilson_of(successes / n, n, level)
    return Interval(found.mean, found.low, found.high, n)


def wilson_of(p: float, n: float, level: float = 0.95) -> Interval:
    """The same for a share of an effective number of items, which need not be whole."""
    z = float(stats.norm.ppf(0.5 + level / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half), round(n))


def half_range_frac(values: NDArray[np.float64]) -> float | None:
    """(max - min) / 2 over the mean: the spread of a few repeats. None for fewer than two."""
    if len(values) < 2:
        return None
    return float((np.max(values) - np.min(values)) / 2 / np.mean(values))
