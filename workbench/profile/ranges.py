"""Where a profile was measured. Outside it still answers, by the model's stated rule, but never silently."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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

_NONE = (1, 0)  # bounds of what was never measured: nothing lies between


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
    def lockstep_ns(self, batches: Sequence[Batch]) -> int: ...


class RangeWatch:
    """Answers as the profile does, and counts every iteration outside the measured range; `strict` raises instead.

    A field that the model does not read is watched too: that it does not matter was only seen inside its range. Who
    asks for one iteration at a time is counted as it asks. A simulator that asks ahead, and then runs only a part of
    it, asks `profile` and says what it ran: `decoded`, `computed`, `ran`. So all of them count the same iterations:
    those that ended.
    """

    def __init__(self, profile: Timed, *, strict: bool = False) -> None:
        self.profile, self.strict = profile, strict
        self.asked = 0
        self.outside: Counter[str] = Counter()
        self.extreme: dict[str, int] = {}
        ranges = profile.ranges
        bounds = {name: (found.low, found.high) for name, found in ranges.bounds.items()}
        low, high = bounds.get("ubatch_n", _NONE)
        self._regions = {name for name, n in ranges.regions.items() if n and low <= 1 <= high}
        self._decodes, self._context = bounds.get("decode_n", _NONE), bounds.get("decode_ctx_sum_tok", _NONE)
        prompts = (bounds.get(name, _NONE) for name in ("prefill_tok", "prefill_n", "prefill_past_max_tok"))
        self._limits = tuple([edge for pair in (*prompts, self._decodes, self._context) for edge in pair])
        self._mixed, self._alone = "mixed" in self._regions, "prefill" in self._regions

    @property
    def overheads(self) -> Any:
        """The profile's: who simulates on the watch simulates on the profile."""
        return getattr(self.profile, "overheads", ())

    def iteration_ns(self, batch: Batch) -> int:
        self.ran((batch,))
        return self.profile.iteration_ns(batch)

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        self.ran(batches)
        return self.profile.lockstep_ns(batches)

    def ran(self, batches: Sequence[Batch]) -> None:
        """One iteration, of one batch or of ranks in lock step; it is outside where one of them is."""
        self.asked += 1
        ranges = self.profile.ranges
        looked = (ranges.outside(batch) for batch in batches if batch.prefills or batch.decode_n)
        self._count(next((found for found in looked if found is not None), None), 1)

    def computed(self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int) -> None:
        """As `ran` of one batch (with prompts in it, as a rule), without making the batch where it lies inside."""
        if len(prefills) == 1:
            new, past = prefills[0]
        elif not prefills:  # decodes of which one had to be preempted
            self.decoded(decode_n, ctx_sum_tok, 1)
            return
        else:
            new, past = sum([tok for tok, _ in prefills]), max([before for _, before in prefills])
        least, most, few, many, early, late, none, full, short, long = self._limits
        if (
            least <= new <= most and few <= len(prefills) <= many and (not past or early <= past <= late)
            and (none <= decode_n <= full and short <= ctx_sum_tok <= long and self._mixed if decode_n else self._alone)
        ):
            self.asked += 1
        else:
            self.ran((Batch(tuple(prefills), decode_n, ctx_sum_tok),))

    def decoded(self, decode_n: int, ctx_sum_tok: int, k: int) -> None:
        """`k` iterations of decodes alone, every context one token longer each time."""
        low, high = self._context
        last = ctx_sum_tok + (k - 1) * decode_n
        self.asked += k
        if (low <= ctx_sum_tok and last <= high and self._decodes[0] <= decode_n <= self._decodes[1]
                and "decode" in self._regions):
            return
        below = min(k, max(0, -(-(low - ctx_sum_tok) // decode_n)))
        within = min(k, max(below, (high - ctx_sum_tok) // decode_n + 1))
        for start, end in ((0, below), (below, within), (within, k)):
            if start < end:
                furthest = start if start < below else end - 1  # of a rising sum: below, the first; above, the last
                batch = Batch((), decode_n, ctx_sum_tok + furthest * decode_n)
                self._count(self.profile.ranges.outside(batch), end - start)

    def _count(self, found: tuple[str, int | str, str] | None, n: int) -> None:
        if found is None:
            return
        if self.strict:
            raise ProfileRangeError(f"{explain(found)}; measure there, or allow extrapolation")
        name, value, _ = found
        label = f"region {value}" if isinstance(value, str) else name
        self.outside[label] += n
        if isinstance(value, int):
            self._note_extreme(name, value)

    def _note_extreme(self, name: str, value: int) -> None:
        """The largest above the range; where none is above, the smallest below: in whatever order they came."""
        bounds = self.profile.ranges.bounds.get(name)
        low = bounds.low if bounds is not None else 0
        worst = self.extreme.get(name, value)
        self.extreme[name] = min(worst, value) if max(worst, value) < low else max(worst, value)

    def report(self) -> dict[str, Any]:
        """For results and summaries: how often, where, how far."""
        n = sum(self.outside.values())
        return {
            "iterations": self.asked, "outside": n, "outside_frac": n / self.asked if self.asked else 0.0,
            "fields": dict(sorted(self.outside.items())), "furthest": dict(sorted(self.extreme.items())),
        }
