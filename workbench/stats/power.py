"""The smallest difference that n paired items can see, by the exact power of McNemar's test."""

import numpy as np
from scipy import stats

STEPS = 24  # halvings of the search: below a thousandth of an item


def mcnemar_power(n: int, changed_frac: float, difference: float, level: float = 0.95) -> float:
    """Chance that the exact test finds `difference` (of two shares right), where `changed_frac` of the items change.

    Sum over the number of items that change, and for each over the ways in which the test then rejects.
    """
    if not 0 <= difference <= changed_frac <= 1:
        raise ValueError(f"a difference of {difference} needs that at least as many items change, not {changed_frac}")
    if changed_frac == 0:
        return 0.0
    low, high = (int(stats.binom.ppf(q, n, changed_frac)) for q in (1e-12, 1 - 1e-12))
    changed = np.arange(low, high + 1)
    reach = np.asarray(stats.binom.ppf((1 - level) / 2, changed, 0.5)).astype(int)
    reach = np.where(2 * stats.binom.cdf(reach, changed, 0.5) < 1 - level, reach, reach - 1)  # rejects up to here
    better = 0.5 + difference / (2 * changed_frac)
    rejects = stats.binom.cdf(reach, changed, better) + stats.binom.sf(changed - reach - 1, changed, better)
    chances = stats.binom.pmf(changed, n, changed_frac)
    return float((chances * np.where(reach < 0, 0.0, rejects)).sum())


def least_difference(n: int, changed_frac: float, power: float = 0.8, level: float = 0.95) -> float | None:
    """The smallest difference that is found with chance `power` where at least `changed_frac` of the items change; as
    many change as the difference itself needs. None where even all items one way are too few."""

    def found(difference: float) -> bool:
        return mcnemar_power(n, max(changed_frac, difference), difference, level) >= power

    if not found(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high
