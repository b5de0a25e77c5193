"""A share of right answers and its interval, where items of one subject may stand or fall together."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.stats.intervals import Interval, wilson_of

Floats = NDArray[np.float64]


def clustered_error(values: Floats, clusters: Sequence[Hashable]) -> float:
    """Standard error of the mean where values of one cluster are not independent; CR1, as statsmodels' `cluster`.

    Liang & Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73(1), 1986.
    """
    _, index = np.unique([str(name) for name in clusters], return_inverse=True)
    groups = int(index.max()) + 1
    if groups < 2:
        raise ValueError("a clustered error needs at least two clusters")
    sums = np.bincount(index, weights=values - values.mean())
    return float(np.sqrt(groups / (groups - 1) * (sums**2).sum())) / len(values)


def design_effect(values: Floats, clusters: Sequence[Hashable]) -> float:
    """How many times larger the variance is than that of independent items; at least 1, and 1 where all are equal."""
    alone = float(np.var(values)) / len(values)
    return max(1.0, clustered_error(values, clusters) ** 2 / alone) if alone > 0 else 1.0


def accuracy(right: Floats, clusters: Sequence[Hashable] | None = None, level: float = 0.95) -> Interval:
    """Mean of per-item scores in 0..1 with Wilson's interval, on as many items as the clusters leave effective.

    Wilson and not +- 1.96 errors: at 100 % right the latter claims certainty. Franco, Little, Louis & Slud,
    "Comparative study of confidence intervals for proportions in complex sample surveys", JSSAM 7(3), 2019.
    """
    if len(right) == 0 or right.min() < 0 or right.max() > 1:
        raise ValueError("an accuracy is of at least one score, each from 0 to 1")
    several = clusters is not None and len(set(clusters)) > 1
    effect = design_effect(right, clusters) if several and clusters is not None else 1.0
    found = wilson_of(float(right.mean()), len(right) / effect, level)
    return Interval(found.mean, found.low, found.high, len(right))
