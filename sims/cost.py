"""What a simulated fleet cost, and each request's part of it: integers, and the parts add up to the whole."""

from collections.abc import Sequence

NS_PER_HOUR = 3_600_000_000_000


def fleet_pusd(price_usd_per_hour: float, replicas: int, duration_ns: int) -> int:
    """Pico-USD for the whole fleet over the run, idle time included, rounded down once."""
    return round(price_usd_per_hour * 1e12) * replicas * duration_ns // NS_PER_HOUR


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to the weights by largest remainder, ties to the earlier; sums to `total`.

    All weights zero: nobody gets anything.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    left = total - sum(parts)
    for i in sorted(range(len(weights)), key=lambda i: -remainders[i])[:left]:
        parts[i] += 1
    return parts
