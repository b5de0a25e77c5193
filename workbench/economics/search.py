"""Two searches over a yes-or-no question that a simulation answers: how few replicas, how high a rate."""

from collections.abc import Callable


def smallest(meets: Callable[[int], bool], limit: int) -> int | None:
    """The smallest n in 1..limit found with `meets(n)`: doubling, then bisection; None when `limit` fails too.

    For an answer that is not quite monotone the result still holds this: n meets, and n - 1 (if any) was tried
    and does not.
    """
    low, high = 0, 1
    while not meets(high):
        if high >= limit:
            return None
        low, high = high, min(2 * high, limit)
    while high - low > 1:
        middle = (low + high) // 2
        if meets(middle):
            high = middle
        else:
            low = middle
    return high


def highest(meets: Callable[[float], bool], ceiling: float, *, steps: int = 5, halvings: int = 8) -> float | None:
    """The highest x found below `ceiling` (known not to meet) with `meets(x)`: halving, then bisection.

    Some y at most x (1 + 2**(1 - steps)) was tried, or is the ceiling, and does not meet. None when nothing down
    to ceiling / 2**halvings meets.
    """
    low, high = ceiling / 2, ceiling
    while not meets(low):
        low, high = low / 2, low
        if low < ceiling / 2**halvings:
            return None
    for _ in range(steps - 1):
        middle = (low + high) / 2
        if meets(middle):
            low = middle
        else:
            high = middle
    return low
