"""Two models of iteration time, computed in whole femtoseconds so that no machine rounds differently.

Coefficients are integers; a sum of them is exact and does not depend on order, and the time of many iterations in a
row has an exact closed form. The one rounding is `to_ns`.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, StrictInt, model_validator

from workbench.config import Settings
from workbench.profile.batch import Batch
from workbench.profile.decode_run import FS_PER_NS, DecodeLine

Fs = Annotated[StrictInt, Field(ge=0)]
Feature = Literal[
    "step", "extra_ubatch", "prefill_tok", "prefill_attended_tok", "decode_n", "decode_ctx_sum_tok", "draft_tok"
]

FEATURES: Mapping[Feature, Callable[[Batch], int]] = MappingProxyType({
    "step": lambda batch: 1,  # noqa: ARG005 - the same signature as its siblings
    "extra_ubatch": lambda batch: batch.ubatch_n - 1,
    "prefill_tok": lambda batch: batch.prefill_tok,
    "prefill_attended_tok": lambda batch: batch.prefill_attended_tok,
    "decode_n": lambda batch: batch.decode_n,
    "decode_ctx_sum_tok": lambda batch: batch.decode_ctx_sum_tok,
    "draft_tok": lambda batch: batch.draft_tok,
})
# the field of Batch that a feature reads; the step constant reads none
BATCH_FIELD: Mapping[Feature, str] = MappingProxyType({
    "extra_ubatch": "ubatch_n", "prefill_tok": "prefills", "prefill_attended_tok": "prefills",
    "decode_n": "decode_n", "decode_ctx_sum_tok": "decode_ctx_sum_tok", "draft_tok": "draft_tok",
})
PER: Mapping[Feature, str] = MappingProxyType({
    "step": "iteration", "extra_ubatch": "ubatch beyond the first", "prefill_tok": "prompt token",
    "prefill_attended_tok": "key position attended in prefill", "decode_n": "decoding sequence",
    "decode_ctx_sum_tok": "context token of the decodes", "draft_tok": "drafted token",
})
_HALF_NS = FS_PER_NS // 2


def to_ns(time_fs: int) -> int:
    """Nearest nanosecond, halves up, and never less than 1: an iteration that takes no time would loop for ever."""
    time_ns = (time_fs + _HALF_NS) // FS_PER_NS
    return time_ns if time_ns > 1 else 1


def fields_of(slopes: Mapping[Feature, int]) -> set[str]:
    """Fields of Batch that really enter: a coefficient of 0 reads nothing."""
    return {BATCH_FIELD[name] for name, value in slopes.items() if value and name in BATCH_FIELD}


class Linear(Settings):
    """A constant per iteration plus one non-negative slope per feature."""

    kind: Literal["linear"] = "linear"
    coefficients_fs: dict[Feature, Fs] = Field(min_length=1)

    def time_fs(self, batch: Batch) -> int:
        return sum([value * measure(batch) for value, measure in self._terms])

    def mixed_fs(self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int) -> int:
        """As `time_fs` of such a batch (one ubatch, nothing drafted), without making one."""
        step_fs, slot_fs, tok_fs, new_fs, attended_fs = self._all_fs
        time_fs = step_fs + slot_fs * decode_n + tok_fs * ctx_sum_tok
        for new, past in prefills:
            time_fs += new_fs * new
            if attended_fs:
                time_fs += attended_fs * (new * past + new * (new + 1) // 2)
        return time_fs

    def decode_line(self, decode_n: int, ctx_sum_tok: int, *_spread: int) -> DecodeLine:
        """The next iterations of `decode_n` decodes alone, their contexts adding up to `ctx_sum_tok` in the first; how
        far these lie apart does not matter here."""
        step_fs, slot_fs, tok_fs, _, _ = self._all_fs
        return DecodeLine(step_fs + slot_fs * decode_n + tok_fs * ctx_sum_tok, tok_fs * decode_n)

    @cached_property
    def _all_fs(self) -> tuple[int, ...]:
        names: tuple[Feature, ...] = ("step", "decode_n", "decode_ctx_sum_tok", "prefill_tok", "prefill_attended_tok")
        return tuple(self.coefficients_fs.get(name, 0) for name in names)

    @cached_property
    def _terms(self) -> "Terms":
        return terms(self.coefficients_fs)

    @property
    def uses(self) -> frozenset[str]:
        return frozenset(fields_of(self.coefficients_fs))


class Table(Settings):
    """A monotone table over the number of decodes, plus non-negative slopes for the rest.

    Between knots it is a straight line; beyond the last one it goes on with the table's mean slope, before the first
    one it stays level.
    """

    kind: Literal["table"] = "table"
    decode_n: tuple[Annotated[StrictInt, Field(ge=0, le=100_000)], ...] = Field(min_length=1)
    step_fs: tuple[Fs, ...]
    slopes_fs: dict[Feature, Fs] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _monotone(self) -> "Table":
        if len(self.decode_n) != len(self.step_fs):
            raise ValueError("decode_n and step_fs differ in length")
        if any(a >= b for a, b in zip(self.decode_n, self.decode_n[1:], strict=False)):
            raise ValueError("decode_n must increase")
        if any(a > b for a, b in zip(self.step_fs, self.step_fs[1:], strict=False)):
            raise ValueError("step_fs must not decrease: more decodes are never faster")
        if {"step", "decode_n"} & self.slopes_fs.keys():
            raise ValueError("the table already holds step and decode_n; they are no slopes")
        return self

    def time_fs(self, batch: Batch) -> int:
        return self._base_fs(batch.decode_n) + sum([value * measure(batch) for value, measure in self._terms])

    def mixed_fs(self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int) -> int:
        """As `Linear.mixed_fs`."""
        tok_fs, new_fs, attended_fs = self._slopes
        time_fs = self._base_fs(decode_n) + tok_fs * ctx_sum_tok
        for new, past in prefills:
            time_fs += new_fs * new
            if attended_fs:
                time_fs += attended_fs * (new * past + new * (new + 1) // 2)
        return time_fs

    def decode_line(self, decode_n: int, ctx_sum_tok: int, *_spread: int) -> DecodeLine:
        """As `Linear.decode_line`."""
        tok_fs = self._slopes[0]
        return DecodeLine(self._base_fs(decode_n) + tok_fs * ctx_sum_tok, tok_fs * decode_n)

    def _base_fs(self, n: int) -> int:
        return self._steps_fs[n] if n < len(self._steps_fs) else self._beyond_fs(n)

    @property
    def uses(self) -> frozenset[str]:
        return frozenset(fields_of(self.slopes_fs) | {"decode_n"})

    @cached_property
    def _slopes(self) -> tuple[int, int, int]:
        known = self.slopes_fs
        return known.get("decode_ctx_sum_tok", 0), known.get("prefill_tok", 0), known.get("prefill_attended_tok", 0)

    @cached_property
    def _terms(self) -> "Terms":
        return terms(self.slopes_fs)

    @cached_property
    def _steps_fs(self) -> tuple[int, ...]:
        """The table with every whole number of decodes up to the last knot."""
        return tuple(self._at_fs(n) for n in range(self.decode_n[-1] + 1))

    def _at_fs(self, n: int) -> int:
        i = bisect_right(self.decode_n, n) - 1
        if i < 0:
            return self.step_fs[0]
        if i == len(self.decode_n) - 1:
            return self.step_fs[-1]
        rise, run = self.step_fs[i + 1] - self.step_fs[i], self.decode_n[i + 1] - self.decode_n[i]
        return self.step_fs[i] + rise * (n - self.decode_n[i]) // run

    def _beyond_fs(self, n: int) -> int:
        rise, run = self.step_fs[-1] - self.step_fs[0], max(1, self.decode_n[-1] - self.decode_n[0])
        return self.step_fs[-1] + rise * (n - self.decode_n[-1]) // run


Terms = tuple[tuple[int, Callable[[Batch], int]], ...]


def terms(slopes: Mapping[Feature, int]) -> Terms:
    """Slopes with what they multiply; those of 0 are left out."""
    return tuple((value, FEATURES[name]) for name, value in slopes.items() if value)
