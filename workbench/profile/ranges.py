"""Where a profile was measured. Outside it still answers, by the model's stated rule, but never silently."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.errors import Failure
from workbench.profile.batch import Batch
from workbench.profile.decode_run import DecodeLine
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
    @property
    def uses(self) -> frozenset[str]: ...
    def iteration_ns(self, batch: Batch) -> int: ...
    def lockstep_ns(self, batches: Sequence[Batch]) -> int: ...
    def decode_line(self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int) -> DecodeLine | None: ...
    def decode_times_ns(
        self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int, k: int
    ) -> NDArray[np.int64]: ...


class RangeWatch:
    """Answers as the profile does, and counts every question outside the measured range; `strict` raises instead.

    A field that the model does not read is watched too: that it does not matter was only seen inside its range. Many
    iterations asked for at once are one question; a line ends where the range does, so that none is half outside.
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

    @property
    def uses(self) -> frozenset[str]:
        return self.profile.uses

    def iteration_ns(self, batch: Batch) -> int:
        self._look(batch)
        return self.profile.iteration_ns(batch)

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        for batch in batches:
            if batch.prefills or batch.decode_n:
                self._look(batch)
        return self.profile.lockstep_ns(batches)

    def decode_line(self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int = 0, ctx_min_tok: int = 0
                    ) -> DecodeLine | None:
        line = self.profile.decode_line(decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok)
        if line is None:
            return None
        self._look(Batch((), decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok))
        bounds = self.profile.ranges.bounds.get("decode_ctx_sum_tok")
        if bounds is None or not decode_n or ctx_sum_tok > bounds.high:
            return line
        inside = (bounds.high - ctx_sum_tok) // decode_n + 1
        return line if inside >= line.steps else line._replace(steps=inside)

    def decode_times_ns(
        self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int, k: int
    ) -> NDArray[np.int64]:
        self._look(Batch((), decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok))
        return self.profile.decode_times_ns(decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok, k)

    def _look(self, batch: Batch) -> None:
        self.asked += 1
        found = self.profile.ranges.outside(batch)
        if found is None:
            return
        if self.strict:
            raise ProfileRangeError(f"{explain(found)}; measure there, or allow extrapolation")
        name, value, _ = found
        label = f"region {value}" if isinstance(value, str) else name
        self.outside[label] += 1
        if isinstance(value, int):
            self._note_extreme(name, value)

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
