"""What alarms look at: counts of what happened since the last look, and sums of what was spent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PPM = 1_000_000


@dataclass(slots=True)
class Counts:
    """Since the last look. `tiers`: of those with targets, how many missed them and how many ended."""

    arrived: int = 0
    ended: int = 0  # what its client was not allowed, or gave up in the middle of an answer, is not counted
    failed: int = 0
    first_tokens: int = 0
    ttft_ns: int = 0  # summed
    charged_pusd: int = 0
    cost_pusd: int = 0
    tiers: dict[str, list[int]] = field(default_factory=dict)

    def over(self, tier: str, outcome: str, met: bool | None) -> None:
        self.ended += 1
        self.failed += outcome not in ("ok", "answered")
        if met is not None:
            of_tier = self.tiers.setdefault(tier, [0, 0])
            of_tier[0] += not met
            of_tier[1] += 1


def _ttft_us(counts: Counts) -> int | None:
    return counts.ttft_ns // (counts.first_tokens * 1000) if counts.first_tokens else None


# name -> value of one step, None where it has none
SIGNALS: Mapping[str, Callable[[Counts], int | None]] = {
    "arrivals": lambda counts: counts.arrived,
    "errors": lambda counts: counts.failed * PPM // counts.ended if counts.ended else 0,  # ppm
    "ttft": _ttft_us,  # the mean, in microseconds
    "charged": lambda counts: counts.charged_pusd,
    "cost": lambda counts: counts.cost_pusd,
}
UNITS: Mapping[str, str] = {"arrivals": "", "errors": "ppm", "ttft": "us", "charged": "pusd", "cost": "pusd"}
