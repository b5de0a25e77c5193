"""Many comparisons at once: Holm's step-down, as p-values and as the intervals that decide alike.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979.
Intervals at each comparison's own step-down level: Serlin, "Confidence intervals and the scientific method: a case
for Holm on the range", Journal of Experimental Education 61(4), 1993.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.stats.estimate import Estimate
from workbench.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class Simultaneous:
    """One of a family of comparisons. `interval` leaves out zero exactly where `p_adjusted` is below 1 - level."""

    interval: Interval
    level: float  # of this interval alone
    p_adjusted: float

    @property
    def different(self) -> bool:
        return self.interval.excludes_zero


def holm(family: Sequence[Estimate], level: float = 0.95) -> tuple[Simultaneous, ...]:
    """In the family's order. The chance of calling any true zero different is at most 1 - `level`.

    The smallest p-value is judged at 1/m of the error, the next at 1/(m - 1), and so on until one fails; that one and
    all after it share its level.
    """
    m, alpha = len(family), 1 - level
    order = sorted(range(m), key=lambda i: (family[i].p, i))
    found: dict[int, Simultaneous] = {}
    worst, share, failed = 0.0, 1, False
    for rank, i in enumerate(order):
        share = share if failed else m - rank
        failed = failed or family[i].p > alpha / share
        worst = max(worst, min(1.0, family[i].p * (m - rank)))
        own = 1 - alpha / share
        found[i] = Simultaneous(family[i].interval(own), own, worst)
    return tuple(found[i] for i in range(m))
