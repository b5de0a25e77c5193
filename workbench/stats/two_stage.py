"""As many replications as a wanted half-width needs: Stein's two stages.

Stein, "A two-sample test for a linear hypothesis whose power is independent of the variance", Annals of Mathematical
Statistics 16(3), 1945. The variance comes from the first stage alone, so that the interval's coverage holds although
the number of replications was chosen by looking; going on until the running interval looks narrow would not hold it.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.stats.estimate import Estimate, mean_of

Floats = NDArray[np.float64]


def needed(first: Floats, half_width: float, level: float = 0.95) -> int:
    """Replications in all, those of the first stage included, for an interval no wider than +- `half_width`."""
    if not half_width > 0:
        raise ValueError(f"half_width is {half_width}; it must be above 0")
    n, spread = len(first), mean_of(first).error * math.sqrt(len(first))
    t = float(stats.t.ppf(0.5 + level / 2, n - 1))
    return max(n, math.ceil((t * spread / half_width) ** 2))


def estimate(values: Floats, first: int) -> Estimate:
    """The mean of all replications with the spread of the `first` ones and their degrees of freedom.

    Coverage is exact for normal replications however many were added, as long as the number depends on first-stage
    spreads only: several quantities may share the largest number that one of them needs.
    """
    begun = mean_of(values[:first])
    spread = begun.error * math.sqrt(first)
    return Estimate(float(np.mean(values)), spread / math.sqrt(len(values)), begun.df, len(values))
