"""Make a table small and never falling: few knots with straight lines between them, near the whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def never_falling(table: Floats) -> Floats:
    """Along every axis: the middle between the least such table above and the greatest below; a rising one stays."""
    above, below = table.copy(), table.copy()
    for axis in range(table.ndim):
        above = np.maximum.accumulate(above, axis=axis)
        below = np.flip(np.minimum.accumulate(np.flip(below, axis), axis=axis), axis)
    return (above + below) / 2


def choose(at: Sequence[int], table: Floats, scale: Floats, *, within_frac: float, limit: int) -> list[int]:
    """Which columns to keep so that straight lines between them stay within `within_frac` of `scale`.

    `table` (rows, columns) holds values over `at`; the column that is furthest off is added until none is, or `limit`
    are kept. Both ends are always kept.
    """
    x = np.asarray(at, dtype=np.float64)
    kept = [0, len(at) - 1]
    while len(kept) < min(limit, len(at)):
        drawn = np.stack([np.interp(x, x[kept], row[kept]) for row in table])
        worst = (np.abs(drawn - table) / scale).max(axis=0)
        if worst.max() <= within_frac:
            break
        kept = sorted([*kept, int(worst.argmax())])
    return kept
