"""Iteration times of what is compiled for fixed shapes: every iteration is padded to the next of them.

XLA (TPU), CUDA graphs and the runtimes of many edge devices compute only shapes that were compiled before. An iteration
of 300 tokens on shapes of 256 and 512 takes as long as 512. Attention is over what is there: kernels for ragged
sequences skip the padding, except where each prompt has a shape of its own (`length_buckets`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StrictInt, model_validator

from workbench.profile.decode_run import FS_PER_NS
from workbench.profile.grid import Grid, Ns

Shapes = tuple[Annotated[StrictInt, Field(ge=1)], ...]
Shape = tuple[str, int]  # what one compilation is for: ("tokens", 512)


def exponential(least: int, most: int) -> tuple[int, ...]:
    """Doubling from `least` until `most` fits: vLLM's default on TPU."""
    found = [least]
    while found[-1] < most:
        found.append(2 * found[-1])
    return tuple(found)


def gapped(least: int, most: int, gap: int) -> tuple[int, ...]:
    """Doubling up to `gap`, then every `gap`: vLLM's VLLM_TPU_BUCKET_PADDING_GAP."""
    found = [size for size in exponential(least, gap) if size <= gap]
    while found[-1] < most:
        found.append(found[-1] + gap)
    return tuple(found)


def padded(buckets: Sequence[int], size: int) -> int:
    """The next bucket; beyond the last, whole multiples of it; without buckets nothing is padded."""
    if not buckets or not size:
        return size
    last = buckets[-1]
    return buckets[bisect_left(buckets, size)] if size <= last else -(-size // last) * last


class Bucketed(Grid):
    """`token_buckets`: of all tokens of an iteration together (vLLM on TPU). `batch_buckets`: of its decodes (CUDA
    graphs). `length_buckets`: of each prompt piece, attention included (static prompts). Empty: not padded.

    `compile_ns`: what the first use of a shape costs where shapes are not compiled before a replica serves; 0: they
    are. It is a replica's own matter (`workbench.profile.compiling`), so `time_fs` leaves it out.
    """

    kind: Literal["bucketed"] = "bucketed"  # type: ignore[assignment]  # another kind, the same tables
    token_buckets: Shapes = ()
    batch_buckets: Shapes = ()
    length_buckets: Shapes = ()
    compile_ns: Ns = 0

    @model_validator(mode="after")
    def _buckets(self) -> "Bucketed":
        for name in ("token_buckets", "batch_buckets", "length_buckets"):
            if any(a >= b for a, b in pairwise(getattr(self, name))):
                raise ValueError(f"{name} must increase")
        return self

    def mixed_fs(
        self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int, draft_tok: int = 0
    ) -> int:
        if self.length_buckets:
            prefills = [(padded(self.length_buckets, new), past) for new, past in prefills]
        return super().mixed_fs(prefills, decode_n, ctx_sum_tok, draft_tok)

    def shapes(self, prefills: Sequence[tuple[int, int]], decode_n: int, draft_tok: int = 0) -> tuple[Shape, ...]:
        """What must have been compiled for such an iteration."""
        found: list[Shape] = []
        pieces = [padded(self.length_buckets, new) for new, _ in prefills]
        decodes = padded(self.batch_buckets, decode_n)
        if self.length_buckets:
            found += [("length", new) for new in dict.fromkeys(pieces) if new]
        if self.batch_buckets and decodes:
            found.append(("batch", decodes))
        if self.token_buckets:
            found.append(("tokens", padded(self.token_buckets, sum(pieces) + decodes + draft_tok)))
        return tuple(found)

    def _step_fs(self, n: int) -> int:
        return super()._step_fs(padded(self.token_buckets, padded(self.batch_buckets, n)))

    def _rest_fs(self, prefills: Sequence[tuple[int, int]], decode_n: int, draft_tok: int) -> int:
        alone = self._step_fs(decode_n) if decode_n else 0
        if not prefills and not draft_tok:
            return alone
        tokens = sum([new for new, _ in prefills]) + padded(self.batch_buckets, decode_n) + draft_tok
        whole = padded(self.token_buckets, tokens)
        known = self._rest_table
        return max(alone, known[whole] if whole < len(known) else self._rest.at(whole) * FS_PER_NS)
