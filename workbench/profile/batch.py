"""What one engine iteration computes: the only thing that a profile is asked about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Batch:
    """One iteration: prompt pieces and running decodes, all in tokens.

    `prefills` holds (new tokens computed now, tokens of that sequence already in the KV cache) per prompt.
    `ubatch_n` is in how many pieces the engine runs it (llama.cpp with a KV cache per slot; else 1).
    `draft_tok` are the drafted tokens that the decodes verify (speculative decoding; else 0).
    """

    prefills: tuple[tuple[int, int], ...] = ()
    decode_n: int = 0
    decode_ctx_sum_tok: int = 0
    decode_ctx_max_tok: int = 0
    decode_ctx_min_tok: int = 0
    ubatch_n: int = 1
    draft_tok: int = 0

    @property
    def prefill_tok(self) -> int:
        return sum(new for new, _ in self.prefills)

    @property
    def prefill_attended_tok(self) -> int:
        """Key positions that the prompt pieces look at: past + 1 for the first new token, and so on."""
        return sum(new * past + new * (new + 1) // 2 for new, past in self.prefills)
