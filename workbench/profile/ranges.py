"""Where a profile was measured. Outside it still answers, by the model's stated rule, but never silently."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.errors import Failure
from workbench.profile.batch import Batch
from workbench.profile.samples import REGIONS, Region, region_of

# A field's range is over the iterations that have any of it; whether "none of it" was measured is the region's matter.
MEASURES: Mapping[str, Callable[[Batch], int]] = MappingProxyType({
    "prefill_tok": lambda batch: batch.prefill_tok,
    "prefill_n": lambda batch: len(batch.prefills),
    "prefill_past_max_tok": lambda batch: max((past for _, past in batch.prefills), default=0),
    "decode_n": lambda batch: batch.decode_n,
    "decode_ctx_sum_tok": lambda batch: batch.decode_ctx_sum_tok,
    "ubatch_n": lambda batch: batch.ubatch_n,
})


class ProfileRangeError(Failure):
    """A batch lies outside the measured range and the caller asked to be told so at once."""


class Range(Settings):
    """Inclusive bounds of what was measured."""

    low: int
    high: int

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Ranges(Settings):
    """Bounds per field, and iterations measured per region. Bounds are per field: not every combination was seen."""

    bounds: dict[str, Range] = Field(default_factory=dict)
    regions: dict[Region, int] = Field(default_factory=dict)

    @staticmethod
    def of(batches: Iterable[Batch]) -> "Ranges":
        found: dict[str, tuple[int, int]] = {}
        regions: Counter[Region] = Counter()
        for batch in batches:
            regions[region_of(batch)] += 1
            for name, measure in MEASURES.items():
                if (value := measure(batch)) > 0:
                    low, high = found.get(name, (value, value))
                    found[name] = min(low, value), max(high, value)
        return Ranges(
            bounds={name: Range(low=low, high=high) for name, (low, high) in found.items()},
            regions={name: regions[name] for name in REGIONS},
        )

    def outside(self, batch: Batch) -> tuple[str, int | str, str] | None:
        """The first thing that was not measured: (field, value, measured range); None inside."""
        region = region_of(batch)
        if not self.regions.get(region):
            known = ", ".join(name for name in REGIONS if self.regions.get(name)) or "nothing"
            return "region", region, known
        for name, measure in MEASURES.items():
            value = measure(batch)
            if value <= 0:
                continue
            measured = self.bounds.get(name)
            if measured is None:
                return name, value, "none above 0"
            if not measured.low <= value <= measured.high:
                return name, value, f"{measured.low} to {measured.high}"
        return None


def explain(found: tuple[str, int | str, str] | None) -> str | None:
    return None if found is None else f"{found[0]} {found[1]} is outside the measured range ({found[2]})"


class Timed(Protocol):
    """What can be watched: a profile."""

    @property
    def ranges(self) -> Ranges: ...
    def iteration_ns(self, batch: Batch) -> int: ...


class RangeWatch:
    """Answers as the profile does, and counts every use outside the measured range; `strict` raises instead.

    A field that the model does not read is watched too: that it does not matter was only seen inside its range.
    """

    def __init__(self, profile: Timed, *, strict: bool = False) -> None:
        self.profile, self.strict = profile, strict
        self.asked = 0
        self.outside: Counter[str] = Counter()
        self.extreme: dict[str, int] = {}

    @property
    def overheads(self) -> Any:
        """The profile's: who simulates on the watch simulates on the profile."""
        return getattr(self.profile, "overheads", ())

    def iteration_ns(self, batch: Batch) -> int:
        self.asked += 1
        found = self.profile.ranges.outside(batch)
        if found is not None:
            if self.strict:
                raise ProfileRangeError(f"{explain(found)}; measure there, or allow extrapolation")
            name, value, _ = found
            label = f"region {value}" if isinstance(value, str) else name
            self.outside[label] += 1
            if isinstance(value, int):
                self._note_extreme(name, value)
        return self.profile.iteration_ns(batch)

    def _note_extreme(self, name: str, value: int) -> None:
        bounds = self.profile.ranges.bounds.get(name)
        below = bounds is not None and value < bounds.low
        worst = self.extreme.get(name, value)
        self.extreme[name] = min(worst, value) if below else max(worst, value)

    def report(self) -> dict[str, Any]:
        """For results and summaries: how often, where, how far."""
        n = sum(self.outside.values())
        return {
            "iterations": self.asked, "outside": n, "outside_frac": n / self.asked if self.asked else 0.0,
            "fields": dict(sorted(self.outside.items())), "furthest": dict(sorted(self.extreme.items())),
        }
