"""Where a curve over the load turns: where it leaves a target, and where it bends most."""

from collections.abc import Sequence
from typing import Literal

Side = Literal["below the lowest", "beyond the highest"]


def crossing(x: Sequence[float], y: Sequence[float], target: float) -> float | Side:
    """The x at which y, falling, first leaves `target`, straight between its neighbours; or on which side it lies."""
    first = next((i for i, value in enumerate(y) if value < target), None)
    if first is None:
        return "beyond the highest"
    if first == 0:
        return "below the lowest"
    drop = y[first - 1] - y[first]
    return x[first - 1] + (x[first] - x[first - 1]) * (y[first - 1] - target) / drop


def bend(x: Sequence[float], y: Sequence[float]) -> float | None:
    """The x of the strongest bend of a rising, convex curve: both axes scaled to 0 to 1, the point farthest below the
    straight line between the ends. None for fewer than four points and for a curve that does not rise.

    Satopää et al., "Finding a Kneedle in a haystack", ICDCS workshops 2011, without its smoothing. It depends on where
    the curve ends, so it describes a figure; it is no promise.
    """
    if len(x) < 4 or not y[-1] > y[0]:
        return None
    below = [(u - x[0]) / (x[-1] - x[0]) - (v - y[0]) / (y[-1] - y[0]) for u, v in zip(x, y, strict=True)]
    best = max(range(len(x)), key=lambda i: (below[i], -i))
    return x[best] if below[best] > 0 else None
