"""Iteration time from kernel tables: the sum of what each layer runs, in whole nanoseconds."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workbench.config import Settings
from workbench.profile.batch import Batch
from workbench.profile.decode_run import FOREVER, FS_PER_NS, DecodeLine, times_along
from workbench.profile.kernels.attention import Attention
from workbench.profile.kernels.curve import Curve
from workbench.profile.kernels.link import Link
from workbench.profile.kernels.moe import Experts
from workbench.profile.kernels.skew import UNIT, Skew
from workbench.profile.model import to_ns

PS_PER_NS = 1000
FS_PER_PS = 1000
UNIT_FS = UNIT  # alpha is in ten-thousandths: alpha times a gap in these units is a whole number of fs


class Kernel(Settings):
    """A kernel that a step runs `times` times, all layers together."""

    times: int = Field(ge=1)
    curve: Curve

    def value_ps(self, x: int) -> int:
        return self.times * self.curve.value_ps(x)


class Kernels(Settings):
    """`layers` decoder layers, each with its attention; `expert_layers` of them with experts.

    Rounding: attention of all layers is kept in whole units of `UNIT_FS`, its slope over the context too, everything
    else of the step in whole ns; the mean context of the decodes is rounded down to whole tokens. So many decode steps
    in a row are exact straight lines. `ranks` > 1: data-parallel ranks in lock step that share the experts.
    """

    kind: Literal["kernels"] = "kernels"
    layers: int = Field(ge=1)
    hidden_bytes: int = Field(ge=1)  # of one token's activations between layers
    over_tokens: dict[str, Kernel]
    over_sequences: dict[str, Kernel]
    attention: Attention
    skew: Skew = Skew()
    experts: Experts | None = None
    expert_layers: int = Field(default=0, ge=0)
    tp: int = Field(default=1, ge=1)
    ranks: int = Field(default=1, ge=1)
    link: Link | None = None
    host_ns: int = Field(default=0, ge=0)  # waiting for the host, in a step that is launched kernel by kernel
    graph_tok: int = Field(default=0, ge=0)  # steps of up to so many tokens replay a captured graph instead

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Without what the original remembers: pydantic would copy that too."""
        found = super().model_copy(update=update, deep=deep)
        for name in ("_base_cache", "_decode_rows"):
            found.__dict__.pop(name, None)
        return found

    def time_fs(self, batch: Batch) -> int:
        """One rank's batch; further ranks are idle and run along. A skew below zero can take no more than there is."""
        return max(0, self._around_ns((batch,)) * FS_PER_NS + self.attention_fs(batch))

    def iteration_ns(self, batch: Batch) -> int:
        return to_ns(self.time_fs(batch))

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        """All ranks together: each waits for the slowest attention and the fullest rank, and the experts see
        everybody's tokens. A rank without work runs one token along, as the engine does."""
        slowest_fs = max([self.attention_fs(batch) for batch in batches], default=0)
        return to_ns(max(0, self._around_ns(batches) * FS_PER_NS + slowest_fs))

    def decode_line(self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int) -> DecodeLine | None:
        """As `Linear.decode_line`, to the edge of a cell or of a bucket; None where the time falls on the way."""
        line = self._line(decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok)
        return line if line.rise_fs >= 0 else None

    def decode_times_ns(
        self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int, k: int
    ) -> NDArray[np.int64]:
        """Shape (k,): the next k iterations of at least one decode alone, each with every context one token longer."""
        return times_along(lambda done: self._line(
            decode_n, ctx_sum_tok + done * decode_n, ctx_max_tok + done, ctx_min_tok + done), k)

    def _line(self, n: int, ctx_sum_tok: int, max_tok: int, min_tok: int) -> DecodeLine:
        """Until the mean or the longest context leaves its cell, or the skew its bucket; the skew rate stays."""
        mean_tok, row = ctx_sum_tok // n, self._decode_row(n)
        units, rise, room = row.at(mean_tok)
        alpha = self.skew.alpha(0, 0, n, mean_tok, max_tok, min_tok)
        first_fs, rise_fs = units * UNIT_FS, rise * UNIT_FS
        if alpha:
            longest, rise_at_longest, longest_room = row.at(max_tok)
            gap, wider = longest - units, rise_at_longest - rise
            room = min(room, longest_room, self.skew.room_tok(max_tok))
            if gap > 0:
                first_fs, rise_fs = first_fs + alpha * gap, rise_fs + alpha * wider
                room = room if wider >= 0 else min(room, -(-gap // -wider))
            elif wider > 0:  # without a gap there is nothing to correct yet
                room = min(room, -gap // wider + 1)
        return DecodeLine(self._around_ns((Batch((), n),)) * FS_PER_NS + first_fs, rise_fs, room)

    @property
    def uses(self) -> frozenset[str]:
        return frozenset({"prefills", "decode_n", "decode_ctx_sum_tok", "decode_ctx_max_tok", "decode_ctx_min_tok",
                          "draft_tok"})

    def attention_fs(self, batch: Batch) -> int:
        """Every layer's attention, the skew of the decodes included."""
        n, chunk_tok = batch.decode_n, batch.prefill_tok
        mean_tok = batch.decode_ctx_sum_tok // n if n else 0
        max_tok = batch.decode_ctx_max_tok
        past_tok = sum([past for _, past in batch.prefills])
        alpha = self.skew.alpha(chunk_tok, past_tok, n, mean_tok, max_tok, batch.decode_ctx_min_tok)
        if not chunk_tok:
            if not n:
                return 0
            row = self._decode_row(n)
            at_mean = row.at(mean_tok)[0]
            gap = row.at(max_tok)[0] - at_mean if alpha else 0
        else:
            contexts = (mean_tok, max_tok) if alpha else (mean_tok,)
            found = self.attention.mixed_ps(*equivalent(batch), n, *contexts)
            at_mean, *more = [int(ps * self.layers * FS_PER_PS / UNIT_FS) for ps in found]
            gap = more[0] - at_mean if more else 0
        return at_mean * UNIT_FS + (alpha * gap if gap > 0 else 0)

    def _around_ns(self, batches: Sequence[Batch]) -> int:
        """Everything but attention."""
        if self.ranks == 1:
            key = _counts(batches[0])
            found = self._base_cache.get(key)
            if found is None:
                found = self._base_cache[key] = self._base_ns(*key, key[0], key[0])
            return found
        counts = [_counts(batch) for batch in batches]
        tokens = [max(1, tokens) for tokens, _ in counts] + [1] * (self.ranks - len(counts))
        sequences = max([1, *[sequences for _, sequences in counts]])
        return self._base_ns(max(tokens), sequences, sum(tokens), max(tokens) * len(tokens))

    def _base_ns(self, tokens: int, sequences: int, expert_tok: int, sent_tok: int) -> int:
        """A rank with `tokens` and `sequences`, experts with `expert_tok` of all ranks, collectives over `sent_tok`."""
        ps = sum([kernel.value_ps(tokens) for kernel in self.over_tokens.values()])
        ps += sum([kernel.value_ps(sequences) for kernel in self.over_sequences.values()])
        if self.experts is not None:
            ps += self.expert_layers * self.experts.value_ps(expert_tok)
        host_ns = self.host_ns if tokens > self.graph_tok else 0
        return ps // PS_PER_NS + self._sent_ns(tokens, sent_tok) + host_ns

    def _sent_ns(self, tokens: int, sent_tok: int) -> int:
        """Collectives: a sum over tensor-parallel shards after each attention and each MLP; where ranks share experts
        the tokens of all ranks go to the experts and back in place of the second."""
        if self.link is None:
            return 0
        reduce_ns = self.link.all_reduce_ns(tokens * self.hidden_bytes, self.tp)
        if self.ranks == 1 or self.experts is None:
            return 2 * self.layers * reduce_ns
        shards, size = self.experts.shards, sent_tok * self.hidden_bytes
        swap_ns = self.link.all_gather_ns(size, shards) + self.link.reduce_scatter_ns(size, shards)
        return (2 * self.layers - self.expert_layers) * reduce_ns + self.expert_layers * swap_ns

    @cached_property
    def _base_cache(self) -> dict[tuple[int, int], int]:
        return {}

    @cached_property
    def _decode_rows(self) -> dict[int, "Row"]:
        return {}

    def _decode_row(self, decode_n: int) -> "Row":
        """Attention of `decode_n` decodes alone, over their mean context."""
        row = self._decode_rows.get(decode_n)
        if row is None:
            scale = self.layers * FS_PER_PS / UNIT_FS
            values = tuple(int(ps * scale) for ps in self.attention.decode_row_ps(decode_n).tolist())
            row = self._decode_rows[decode_n] = Row.through(self.attention.context_tok, values)
        return row


class Row(NamedTuple):
    """Straight lines between knots, in whole units of `UNIT_FS`: level before the first, going on beyond the last."""

    knots: tuple[int, ...]
    units: tuple[int, ...]
    rises: tuple[int, ...]  # units a token, from each knot on

    @staticmethod
    def through(knots: tuple[int, ...], units: tuple[int, ...]) -> "Row":
        rises = [(b - a) // (y - x) for (a, b), (x, y) in zip(pairwise(units), pairwise(knots), strict=True)]
        return Row(knots, units, (*rises, max(0, rises[-1]) if rises else 0))

    def at(self, ctx_tok: int) -> tuple[int, int, int]:
        """(units, units a token further, how many tokens from here the line holds, this one included)."""
        i = bisect_right(self.knots, ctx_tok) - 1
        if i < 0:
            return self.units[0], 0, self.knots[0] - ctx_tok
        room = self.knots[i + 1] - ctx_tok if i + 1 < len(self.knots) else FOREVER
        return self.units[i] + self.rises[i] * (ctx_tok - self.knots[i]), self.rises[i], room


def _counts(batch: Batch) -> tuple[int, int]:
    """Tokens and sequences."""
    more = batch.decode_n + batch.draft_tok
    return (batch.prefill_tok + more, len(batch.prefills) + more) if batch.prefills else (more, more)


def equivalent(batch: Batch) -> tuple[float, float]:
    """(new, past) of the one prompt piece that attends to as many key positions as all pieces of the batch together.

    Pieces attend to their own prompt only: two prompts of 1,000 tokens look at half of what one of 2,000 does."""
    tokens, attended = batch.prefill_tok, batch.prefill_attended_tok
    past = attended / tokens - (tokens + 1) / 2
    if past >= 0:
        return tokens, past
    return (math.sqrt(8.0 * attended + 1.0) - 1.0) / 2.0, 0.0
