"""Conversations: a request is a turn, and its prompt begins with every earlier prompt and answer of its session.

What an earlier answer said is a stand-in, drawn beforehand at the length asked for: so lengths are exact, every prompt
is made before the run, and simulator and load generator get one schedule. An engine's cache then finds the earlier
prompts, and not the answers that it gave itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workbench.config import Settings
from workbench.workload.lengths import Tok
from workbench.workload.prefix import Ids

MOST_TURNS = 1000
BLOCK_TOK = 16  # tokens that one prefix id stands for, where no prefix says otherwise; vLLM's block
Floats = NDArray[np.float64]


class Sessions(Settings):
    """`arrivals` are of sessions, `prompt_tok` is what each turn adds, `output_tok` each answer, `prefix` (if any) how
    a session begins.

    The number of turns is one of `turns`, each as likely. A turn is sent when the answer before it has ended and
    `think_s` has passed: the mean of a lognormal with this coefficient of variation (0: always as long). A session
    ends before a turn whose prompt and answer would exceed `max_context_tok`.
    """

    turns: tuple[int, ...] = Field(min_length=1, max_length=10_000)
    think_s: float = Field(ge=0, le=1e6)
    think_cv: float = Field(default=1.0, ge=0, le=100)
    max_context_tok: Tok | None = None

    def model_post_init(self, _: object) -> None:
        if any(not 1 <= n <= MOST_TURNS for n in self.turns):
            raise ValueError(f"turns: each is 1 to {MOST_TURNS}")

    def turns_of(self, uniform: Floats) -> list[int]:
        """One number a session; a larger uniform is a longer session."""
        ranked = sorted(self.turns)
        return [ranked[min(int(u * len(ranked)), len(ranked) - 1)] for u in uniform.tolist()]

    def think_ns(self, uniform: Floats) -> NDArray[np.int64]:
        """One time a turn."""
        if not self.think_cv or not self.think_s:
            return np.full(len(uniform), round(self.think_s * 1e9), dtype=np.int64)
        from scipy import special  # takes 0.1 s to load, and few workloads need it

        variance = math.log1p(self.think_cv**2)
        score = special.ndtri(np.clip(uniform, 1e-300, None))
        seconds = self.think_s * np.exp(math.sqrt(variance) * score - variance / 2)
        return np.asarray(np.rint(np.minimum(seconds, 1e9) * 1e9), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a session."""

    prompt_tok: int
    output_tok: int
    prefix_ids: Ids


def turns(added_tok: Sequence[int], output_tok: Sequence[int], most_tok: int | None) -> list[tuple[int, int]]:
    """(prompt, output) of each turn that fits: the whole conversation so far, and what the turn adds."""
    found: list[tuple[int, int]] = []
    history = 0
    for added, output in zip(added_tok, output_tok, strict=True):
        prompt = history + added
        if most_tok is not None and prompt + output > most_tok:
            break
        found.append((prompt, output))
        history = prompt + output
    return found


def with_ids(lengths: Sequence[tuple[int, int]], begin: Ids, first_id: int, block_tok: int) -> list[Turn]:
    """Ids of every block that another turn has too, the last one perhaps begun only; `begin` are those of the prefix.

    A turn's prompt is known to the next one up to its end, and nothing of its answer is: the stand-in is new to it.
    """
    found = []
    known = len(begin)
    for i, (prompt, output) in enumerate(lengths):
        blocks = -(-prompt // block_tok) if i + 1 < len(lengths) else known
        own = range(first_id + len(begin), first_id + blocks)
        found.append(Turn(prompt, output, (*begin, *own)))
        known = blocks
    return found
