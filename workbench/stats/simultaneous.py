"""Many comparisons at once: intervals that hold together, by Bonferroni, and Holm's p-values beside them.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979. His
step-down sharpens the test, not the intervals: read at each row's own step, they cover all truths together too rarely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.stats.estimate import Estimate
from workbench.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class Simultaneous:
    """One of a family of comparisons. `interval` leaves out zero exactly where `p` is below 1 - the family's level."""

    interval: Interval
    level: float  # of this interval alone
    p: float  # Bonferroni's
    p_holm: float  # never above `p`: below 0.05 it shows a difference that the interval may not

    @property
    def different(self) -> bool:
        """The interval decides."""
        return self.interval.excludes_zero


def each_level(rows: int, level: float = 0.95) -> float:
    """What the interval of one of `rows` comparisons must hold, so that all hold together with at least `level`."""
    return 1 - (1 - level) / max(rows, 1)


def simultaneous(family: Sequence[Estimate], level: float = 0.95) -> tuple[Simultaneous, ...]:
    """In the family's order. Whatever the rows have to do with each other, the chance that all intervals cover their
    truth is at least `level`."""
    m, own = len(family), each_level(len(family), level)
    stepped = holm([item.p for item in family])
    return tuple(
        Simultaneous(item.interval(own), own, min(1.0, m * item.p), adjusted)
        for item, adjusted in zip(family, stepped, strict=True)
    )


def holm(values: Sequence[float]) -> list[float]:
    """The smallest p-value times m, the next times m - 1, and so on; none below one before it."""
    found, worst = [0.0] * len(values), 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=lambda i: (values[i], i))):
        worst = max(worst, min(1.0, values[i] * (len(values) - rank)))
        found[i] = worst
    return found
