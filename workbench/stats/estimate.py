"""A mean of independent replications with its standard error: paired, independent, or from two stages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.stats.intervals import Interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean whose error follows Student's t: (estimate - truth) / `error` with `df` degrees of freedom."""

    mean: float
    error: float
    df: float
    n: int

    def half_width(self, level: float = 0.95) -> float:
        return float(stats.t.ppf(0.5 + level / 2, self.df) * self.error)

    def interval(self, level: float = 0.95) -> Interval:
        half = self.half_width(level)
        return Interval(self.mean, self.mean - half, self.mean + half, self.n)

    @property
    def p(self) -> float:
        """Two-sided p-value of a true mean of zero. Without any spread: 1 at zero, else 0."""
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.df))


def mean_of(values: Floats) -> Estimate:
    """Of independent replications; needs at least two."""
    n = _enough(values)
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(n), n - 1, n)


def paired(baseline: Floats, variant: Floats) -> Estimate:
    """Of variant - baseline, replication by replication: for runs on common random numbers."""
    if len(baseline) != len(variant):
        raise ValueError(f"pairs need equal numbers of replications, not {len(baseline)} and {len(variant)}")
    return mean_of(variant - baseline)


def independent(baseline: Floats, variant: Floats) -> Estimate:
    """Of variant - baseline where nothing pairs them: Welch (1947)."""
    sizes = (_enough(baseline), _enough(variant))
    parts = [(float(np.var(x, ddof=1)) / n, n) for x, n in zip((baseline, variant), sizes, strict=True)]
    return _welch(float(np.mean(variant) - np.mean(baseline)), parts)


def ratio(base: Interval, other: Interval, level: float = 0.95) -> Interval:
    """Of two independent means given with their t intervals: other / base, by logarithms (delta method, Welch).

    Where one of them has no spread to speak of (n below 2) the ratio has none either: both ends are the mean.
    """
    found = other.mean / base.mean
    if min(base.n, other.n) < 2:
        return Interval(found, found, found, min(base.n, other.n))
    parts = []
    for one in (base, other):
        error = (one.high - one.low) / 2 / float(stats.t.ppf(0.5 + level / 2, one.n - 1))
        parts.append(((error / one.mean) ** 2, one.n))
    half = _welch(math.log(found), parts).half_width(level)
    return Interval(found, found * math.exp(-half), found * math.exp(half), min(base.n, other.n))


def _welch(mean: float, parts: Sequence[tuple[float, int]]) -> Estimate:
    """Of independent parts, each (squared standard error, n): degrees of freedom by Satterthwaite."""
    total = sum(part for part, _ in parts)
    below = sum(part**2 / (n - 1) for part, n in parts)
    smallest = min(n for _, n in parts)
    return Estimate(mean, math.sqrt(total), total**2 / below if below > 0 else float(smallest - 1), smallest)


def _enough(values: Floats) -> int:
    if len(values) < 2:
        raise ValueError("an interval needs at least two replications")
    return len(values)
