"""Which prompts begin alike: system prompts shared within groups, or the block ids of a trace."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.workload.lengths import Tok

Ids = tuple[int, ...]
BLOCKS_PER_GROUP = 1 << 20  # an id is group * this + block; no prompt has as many blocks
SESSION_IDS = 1 << 40  # sessions number their blocks from here on; a group's ids and a trace's stay below
ID_BITS = 41  # above them is whose workload it is


class SharedPrefix(Settings):
    """A share of the requests begins with one of `groups` common texts of `tok` tokens.

    Group g (from 1) is drawn with a weight of 1 / g**skew: 0 is uniform, 1 is Zipf's law. Lengths stay as drawn: a
    shorter prompt shares what it has, in whole blocks of `block_tok`, and at least one token is always its own.
    """

    groups: int = Field(ge=1, le=1_000_000)
    tok: Tok
    share_frac: float = Field(default=1.0, ge=0, le=1)
    skew: float = Field(default=0.0, ge=0, le=10)
    block_tok: int = Field(default=16, ge=1, le=4096)

    @model_validator(mode="after")
    def _at_least_a_block(self) -> "SharedPrefix":
        if self.tok < self.block_tok:
            raise ValueError(f"tok {self.tok} is less than one block of {self.block_tok}: nothing could be shared")
        return self

    def ids(self, uniform: NDArray[np.float64], prompt_tok: NDArray[np.int64]) -> list[Ids]:
        """Shape of both: (requests,). The block ids of each prompt's shared beginning; () where it shares nothing."""
        weights = np.arange(1, self.groups + 1, dtype=np.float64) ** -self.skew
        edges = np.cumsum(weights) / weights.sum() * self.share_frac
        group = np.searchsorted(edges, uniform, side="right")
        blocks = np.minimum(self.tok, prompt_tok - 1) // self.block_tok
        alone: Ids = ()
        return [
            tuple(range(g * BLOCKS_PER_GROUP, g * BLOCKS_PER_GROUP + n)) if g < self.groups else alone
            for g, n in zip(group.tolist(), blocks.tolist(), strict=True)
        ]


def ideal_hit_frac(ids: list[Ids], block_tok: int, prompt_tok: NDArray[np.int64]) -> float:
    """Share of all prompt tokens that a cache which never forgets would find, requests taken one after another."""
    seen: set[int] = set()
    hit = 0
    for own, tok in zip(ids, prompt_tok.tolist(), strict=True):
        whole = own[: tok // block_tok]  # the last one may be begun only
        for number in whole:
            if number not in seen:
                break
            hit += block_tok
        seen.update(whole)
    total = int(prompt_tok.sum())
    return hit / total if total else 0.0


def own_seed(seed: int, name: str) -> int:
    """Of the workload called so: a stream that no other's changes move."""
    return int.from_bytes(sha256(f"{seed}/{name}".encode()).digest()[:8])


def prefix_mark(name: str) -> int:
    """Added to the ids of the workload called so: two workloads share no prefix."""
    return own_seed(0, f"prefix/{name}") >> ID_BITS + 2 << ID_BITS
