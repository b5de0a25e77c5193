"""What a simulated fleet cost, and each request's part of it: integers, and the parts add up to the whole."""

from collections.abc import Sequence

from workbench.stats.apportion import apportion as split

NS_PER_HOUR = 3_600_000_000_000


def fleet_pusd(price_usd_per_hour: float, replicas: int, duration_ns: int) -> int:
    """Pico-USD for the whole fleet over the run, idle time included, rounded down once."""
    return round(price_usd_per_hour * 1e12) * replicas * duration_ns // NS_PER_HOUR


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """The one rule of `workbench.stats.apportion`; where nobody was served nobody gets anything."""
    return split(total, weights) if any(weights) else [0] * len(weights)
