"""Two sets of answers to the same items: the difference of their means with an interval, and McNemar's exact test."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.stats.intervals import Interval

Floats = NDArray[np.float64]
DRAWS = 4_000  # of a bootstrap: the ends of a 95 % interval then move by about 2 % of its width between seeds
BLOCK = 2**22  # numbers drawn at a time


@dataclass(frozen=True, slots=True)
class Pairs:
    """`second` - `first` over n items. `only_first` and `only_second` count items that one alone got right."""

    difference: Interval
    only_first: int
    only_second: int
    p: float | None  # McNemar's exact, two-sided; None where scores are not right or wrong

    @property
    def n(self) -> int:
        return self.difference.n

    @property
    def changed(self) -> int:
        """Flips: items whose score differs, either way."""
        return self.only_first + self.only_second


def pairs(
    first: Floats, second: Floats, clusters: Sequence[Hashable] | None = None, *, level: float = 0.95, seed: int = 0,
    draws: int = DRAWS,
) -> Pairs:
    """Scores of the same items in the same order. With clusters (subjects) whole clusters are drawn again."""
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(f"pairs need the same items, not {len(first)} and {len(second)}")
    change = second - first
    more, less = int((change > 0).sum()), int((change < 0).sum())
    binary = bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    return Pairs(bootstrap(change, clusters, level, seed, draws), less, more, mcnemar(less, more) if binary else None)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value: which of two is right where only one is, against a fair coin.

    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12(2), 1947.
    """
    n = only_first + only_second
    return min(1.0, 2 * float(stats.binom.cdf(min(only_first, only_second), n, 0.5)))


def bootstrap(
    values: Floats, clusters: Sequence[Hashable] | None, level: float, seed: int, draws: int = DRAWS,
) -> Interval:
    """Percentile interval of the mean: items, or whole clusters of them, drawn again with replacement.

    Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 13. The same seed gives the same interval, and
    swapping the sides of a difference mirrors it.
    """
    several = clusters is not None and len(set(clusters)) > 1
    index = np.unique([str(name) for name in clusters], return_inverse=True)[1] if several and clusters else None
    sums = values if index is None else np.bincount(index, weights=values)
    sizes = np.ones(len(values)) if index is None else np.bincount(index).astype(np.float64)
    rng, rows = np.random.default_rng(seed), max(1, BLOCK // len(sums))
    means = np.empty(draws)
    for begin in range(0, draws, rows):
        drawn = rng.integers(0, len(sums), (min(rows, draws - begin), len(sums)))
        means[begin : begin + len(drawn)] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.5 - level / 2, 0.5 + level / 2))
    return Interval(float(values.mean()), float(low), float(high), len(values))
