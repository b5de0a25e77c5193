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


def highest(meets: Callable[[float], bool], start: float, *, steps: int = 6, doublings: int = 12) -> float | None:
    """The highest x found with `meets(x)`, by doubling (or halving) from `start` and bisection.

    The bracket at the end is 2**-steps of its width wide. None when nothing down to start / 2**doublings meets;
    the top is returned as it is when everything up to start * 2**doublings meets.
    """
    low, high = _bracket(meets, start, doublings)
    if low is None or high is None:
        return low
    for _ in range(steps):
        middle = (low + high) / 2
        if meets(middle):
            low = middle
        else:
            high = middle
    return low


def _bracket(meets: Callable[[float], bool], start: float, doublings: int) -> tuple[float | None, float | None]:
    """(something that meets, something twice as high that does not); either None where there is none in range."""
    x = start
    if meets(x):
        for _ in range(doublings):
            if not meets(2 * x):
                return x, 2 * x
            x *= 2
        return x, None
    for _ in range(doublings):
        if meets(x / 2):
            return x / 2, x
        x /= 2
    return None, x
