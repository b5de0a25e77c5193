"""Splitting an integer amount so that the parts are integers and add up to it."""

from collections.abc import Sequence


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` over `weights` by largest remainder: the parts are integers and sum to it exactly.

    Ties go to the earlier entry, zero weight gets nothing. Weights are not negative and not all zero.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("weights are not negative")
    whole = sum(weights)
    if whole == 0:
        if total == 0:
            return [0] * len(weights)
        raise ValueError("nothing to apportion over: all weights are zero")
    sign, size = (-1, -total) if total < 0 else (1, total)
    parts, rests = zip(*(divmod(size * weight, whole) for weight in weights), strict=True)
    left = size - sum(parts)
    first = set(sorted(range(len(weights)), key=lambda i: (-rests[i], i))[:left])
    return [sign * (part + (i in first)) for i, part in enumerate(parts)]
