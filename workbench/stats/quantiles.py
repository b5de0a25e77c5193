"""Percentiles with the one rule of when there are enough values for them."""

import numpy as np
from numpy.typing import NDArray

MIN_BEYOND = 3  # a percentile needs this many values beyond it, else it is one or two requests' luck


def enough(n: int, q: float) -> bool:
    """Whether n values support the q-quantile: n (1 - q) >= 3 (with room for rounding)."""
    return n * (1.0 - q) >= MIN_BEYOND - 1e-9


def quantile(values: NDArray[np.float64], q: float) -> float | None:
    """The q-quantile by linear interpolation (Hyndman-Fan type 7), None where n is too small."""
    return float(np.quantile(values, q)) if enough(len(values), q) else None
