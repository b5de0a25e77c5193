"""Holes in a measured grid: between two measured neighbours on one axis a straight line, then the next axis."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]


class Filled(NamedTuple):
    """How many cells came from where."""

    cells: int
    measured: int
    between: int  # interpolated
    beyond: int  # extrapolated, or the nearest measured one


def fill(grid: Grid, axes: tuple[tuple[int, ...], ...], order: tuple[int, ...]) -> tuple[Grid, Filled]:
    """A copy of `grid` without NaN. Axes take turns in `order` until nothing lies between measured cells any more;
    what then is left lies outside and goes on with the slope of the last two cells, never below the last one."""
    found, measured = grid.copy(), int(np.isfinite(grid).sum())
    while True:
        before = int(np.isnan(found).sum())
        for axis in order:
            _between(found, axis, np.array(axes[axis], dtype=float))
        if int(np.isnan(found).sum()) == before:
            break
    inside = int(np.isfinite(found).sum())
    for axis in order:
        _beyond(found, axis, np.array(axes[axis], dtype=float))
    if np.isnan(found).any():
        raise ValueError("a grid without a single measured cell cannot be filled")
    return found, Filled(found.size, measured, inside - measured, found.size - inside)


def _between(grid: Grid, axis: int, at: Grid) -> None:
    view = np.moveaxis(grid, axis, -1)
    known = np.isfinite(view)
    places = np.arange(at.size)
    left = np.maximum.accumulate(np.where(known, places, -1), axis=-1)
    right = np.flip(np.minimum.accumulate(np.flip(np.where(known, places, at.size), -1), axis=-1), -1)
    holes = ~known & (left >= 0) & (right < at.size)
    where = np.nonzero(holes)
    lines, low, high = where[:-1], left[holes], right[holes]
    y0, y1 = view[(*lines, low)], view[(*lines, high)]
    view[where] = y0 + (y1 - y0) * (at[where[-1]] - at[low]) / (at[high] - at[low])


def _beyond(grid: Grid, axis: int, at: Grid) -> None:
    view = np.moveaxis(grid, axis, -1)
    known = np.isfinite(view)
    for place in zip(*np.nonzero(~known.all(axis=-1) & known.any(axis=-1)), strict=True):
        line, there = view[place], np.nonzero(known[place])[0]
        first, last = there[0], there[-1]
        slope = 0.0
        if last > first:
            before = there[-2]
            slope = max(0.0, (line[last] - line[before]) / (at[last] - at[before]))
        line[last + 1:] = line[last] + slope * (at[last + 1:] - at[last])
        line[:first] = line[first]
