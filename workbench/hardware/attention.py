"""Caches that do not keep one key and one value per head, layer and token: latent vectors, and windows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention: a token keeps one compressed vector and one rotary key for all heads.

    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1. Names as in config.json; `q_rank` 0: queries are not compressed.
    """

    kv_rank: int  # kv_lora_rank
    rope_dim: int  # qk_rope_head_dim
    nope_dim: int  # qk_nope_head_dim
    value_dim: int  # v_head_dim
    q_rank: int = 0  # q_lora_rank

    @property
    def cached_values(self) -> int:
        """Numbers that one layer keeps of one token, whatever the number of heads."""
        return self.kv_rank + self.rope_dim

    def down_params(self, hidden: int) -> int:
        """Projections into the compressed space: every tensor-parallel rank holds them whole."""
        return hidden * (self.q_rank + self.cached_values)

    def params(self, hidden: int, heads: int) -> int:
        """All projections of one layer."""
        query_in = self.q_rank or hidden
        per_head = query_in * (self.nope_dim + self.rope_dim) + self.kv_rank * (self.nope_dim + self.value_dim)
        return self.down_params(hidden) + heads * (per_head + self.value_dim * hidden)

    @property
    def norm_params(self) -> int:
        return self.q_rank + self.kv_rank


@dataclass(frozen=True, slots=True)
class Window:
    """Sliding-window attention: `layers` of the model look back `tok` tokens and keep no more; the others keep all."""

    tok: int
    layers: int
