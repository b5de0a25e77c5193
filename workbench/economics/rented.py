"""What rented machines cost: on demand, spot with what an interruption costs, reserved for the base."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Spot:
    """A machine that can be taken away: how often, and how long nothing is served each time.

    `lost_s`: until another one serves: getting it, loading the model, and the work that was in it and is done again.
    """

    usd_per_hour: float
    interruptions_per_hour: float
    lost_s: float

    @property
    def served_frac(self) -> float:
        """Part of the paid time in which it serves."""
        return 1.0 - min(1.0, self.interruptions_per_hour * self.lost_s / 3600)

    @property
    def usd_per_served_hour(self) -> float:
        """To be compared with the on-demand price; refused where it would never serve."""
        if self.served_frac <= 0:
            raise UsageError(f"spot: {self.interruptions_per_hour} interruptions an hour of {self.lost_s} s each: "
                             "it would never serve; take on demand")
        return self.usd_per_hour / self.served_frac


def worth_it_below(on_demand_usd: float, spot_usd: float, lost_s: float) -> float:
    """Interruptions an hour up to which the spot machine is the cheaper one per served hour."""
    return max(0.0, (1 - spot_usd / on_demand_usd) * 3600 / lost_s) if lost_s > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Mix:
    """So many machines reserved around the clock, the others on demand in the hours that need them."""

    reserved: int
    usd_per_day: float
    burst_hours: float


def mixed(needed: Sequence[int], reserved: int, reserved_usd_per_hour: float, on_demand_usd_per_hour: float) -> Mix:
    """`needed`: machines in each of the equal parts of a day."""
    hours = 24 / len(needed)
    burst = sum(max(0, n - reserved) for n in needed) * hours
    return Mix(reserved, 24 * reserved * reserved_usd_per_hour + burst * on_demand_usd_per_hour, burst)


def best_mix(needed: Sequence[int], reserved_usd_per_hour: float, on_demand_usd_per_hour: float) -> Mix:
    """The cheapest number of reserved (or owned) machines; of equal ones the smallest."""
    options = (mixed(needed, n, reserved_usd_per_hour, on_demand_usd_per_hour) for n in range(max(needed) + 1))
    return min(options, key=lambda mix: (mix.usd_per_day, mix.reserved))
