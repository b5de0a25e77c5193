"""Iteration time from kernel tables: the sum of what each layer runs, in whole nanoseconds."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workbench.config import Settings
from workbench.profile.batch import Batch
from workbench.profile.decode_run import FS_PER_NS
from workbench.profile.kernels.attention import Attention
from workbench.profile.kernels.curve import Curve
from workbench.profile.kernels.link import Link
from workbench.profile.kernels.moe import Experts
from workbench.profile.kernels.skew import UNIT, Skew

PS_PER_NS = 1000


class Kernel(Settings):
    """A kernel that a step runs `times` times, all layers together."""

    times: int = Field(ge=1)
    curve: Curve

    def value_ps(self, x: int) -> int:
        return self.times * self.curve.value_ps(x)


class Kernels(Settings):
    """`layers` decoder layers, each with its attention; `expert_layers` of them with experts.

    Rounding: attention of all layers, and everything else of the step, are each rounded down to whole ns; the mean
    context of the decodes is rounded down to whole tokens. `ranks` > 1: data-parallel ranks in lock step that share
    the experts.
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
        for name in ("_base_cache", "_decode_tables"):
            found.__dict__.pop(name, None)
        return found

    def time_fs(self, batch: Batch) -> int:
        return self.iteration_ns(batch) * FS_PER_NS

    def iteration_ns(self, batch: Batch) -> int:
        """One rank's batch; further ranks are idle and run along."""
        return max(1, self._around_ns((batch,)) + self.attention_ns(batch))

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        """All ranks together: each waits for the slowest attention and the fullest rank, and the experts see
        everybody's tokens. A rank without work runs one token along, as the engine does."""
        return max(1, self._around_ns(batches) + max([self.attention_ns(batch) for batch in batches], default=0))

    def decode_line(self, decode_n: int, ctx_sum_tok: int) -> None:
        """No formula: `decode_times_ns` reads many iterations off a table."""

    def decode_times_ns(
        self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int, k: int
    ) -> NDArray[np.int64]:
        """Shape (k,): the next k iterations of at least one decode alone, each with every context one token longer."""
        base_ns = self._around_ns((Batch((), decode_n),))
        mean_tok = ctx_sum_tok // decode_n
        table = self._decode_ns(decode_n, max(mean_tok, ctx_max_tok) + k)
        times = base_ns + table[mean_tok:mean_tok + k]
        done = 0
        while done < k:  # the skew rate stays as it is; the bucket of the longest context changes now and then
            longest = ctx_max_tok + done
            until = min(k, done + self.skew.room_tok(longest))
            alpha = self.skew.alpha(0, 0, decode_n, mean_tok + done, longest, ctx_min_tok + done)
            if alpha:
                gap = table[longest:longest + until - done] - table[mean_tok + done:mean_tok + until]
                times[done:until] += np.maximum(gap, 0) * alpha // UNIT
            done = until
        return times if base_ns > 0 and self.skew.least >= 0 else np.maximum(1, times)

    @property
    def uses(self) -> frozenset[str]:
        return frozenset({"prefills", "decode_n", "decode_ctx_sum_tok", "decode_ctx_max_tok", "decode_ctx_min_tok",
                          "draft_tok"})

    def attention_ns(self, batch: Batch) -> int:
        """Every layer's attention, the skew of the decodes included."""
        n, chunk_tok = batch.decode_n, batch.prefill_tok
        mean_tok = batch.decode_ctx_sum_tok // n if n else 0
        max_tok = batch.decode_ctx_max_tok
        past_tok = sum([past for _, past in batch.prefills])
        alpha = self.skew.alpha(chunk_tok, past_tok, n, mean_tok, max_tok, batch.decode_ctx_min_tok)
        if not chunk_tok:
            if not n:
                return 0
            table = self._decode_ns(n, max(mean_tok, max_tok))
            at_mean = int(table[mean_tok])
            gap = int(table[max_tok]) - at_mean if alpha else 0
        else:
            contexts = (mean_tok, max_tok) if alpha else (mean_tok,)
            found = self.attention.mixed_ps(*equivalent(batch), n, *contexts)
            at_mean, *more = [int(ps * self.layers / PS_PER_NS) for ps in found]
            gap = more[0] - at_mean if more else 0
        return at_mean + (alpha * gap // UNIT if gap > 0 else 0)

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
    def _decode_tables(self) -> dict[int, NDArray[np.int64]]:
        return {}

    def _decode_ns(self, decode_n: int, context_tok: int) -> NDArray[np.int64]:
        """Attention of `decode_n` decodes alone by whole context, long enough to hold `context_tok`."""
        table = self._decode_tables.get(decode_n)
        if table is None or len(table) <= context_tok:
            length = 2048
            while length <= context_tok:
                length *= 2
            at = np.array(self.attention.context_tok, dtype=float)
            row = self.attention.decode_row_ps(decode_n)
            wanted = np.arange(length, dtype=float)
            found = np.interp(wanted, at, row)
            if len(at) > 1 and length > at[-1]:
                rise = max(0.0, (row[-1] - row[-2]) / (at[-1] - at[-2]))
                beyond = wanted > at[-1]
                found[beyond] = row[-1] + rise * (wanted[beyond] - at[-1])
            table = (found * self.layers / PS_PER_NS).astype(np.int64)
            self._decode_tables[decode_n] = table
        return table


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
