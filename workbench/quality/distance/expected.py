"""What a model expected at each next token: the whole distribution, or its likeliest tokens and the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import Failure

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
MOST_WHOLE = 4_096  # a vocabulary up to this is kept whole
KEPT_TOK = 1_024  # of a larger one, the likeliest


@dataclass(frozen=True)
class Expected:
    """`logprob` [n, k] in nats; `ids` [n, k] says of which tokens, None means 0..V-1: all of them.

    `target` [n] is the log-probability of the token that came, known exactly in either form.
    """

    logprob: Floats
    target: Floats
    ids: Ints | None = None

    def __post_init__(self) -> None:
        if self.logprob.ndim != 2 or len(self.logprob) != len(self.target):
            raise ValueError(f"log-probabilities of shape {self.logprob.shape} for {len(self.target)} tokens")
        if not np.isfinite(self.target).all():
            raise Failure("a log-probability is not finite: the model computes NaN or infinity; check its weights")

    @property
    def whole(self) -> bool:
        return self.ids is None

    @property
    def n(self) -> int:
        return len(self.target)

    @property
    def top(self) -> Ints:
        """[n] the likeliest token."""
        best: Ints = self.logprob.argmax(1)
        return best if self.ids is None else self.ids[np.arange(self.n), best]

    def kept(self, most_whole: int = MOST_WHOLE, top: int = KEPT_TOK) -> "Expected":
        """As it is stored: whole up to `most_whole` tokens of vocabulary, else the `top` likeliest."""
        if self.ids is not None or self.logprob.shape[1] <= most_whole:
            return self
        ids = np.argpartition(-self.logprob, top, axis=1)[:, :top].astype(np.int64)
        return Expected(np.take_along_axis(self.logprob, ids, 1), self.target, ids)


def joined(parts: Sequence[Expected]) -> Expected:
    """Documents one after another."""
    ids = [part.ids for part in parts if part.ids is not None]
    return Expected(np.concatenate([part.logprob for part in parts]), np.concatenate([part.target for part in parts]),
                    np.concatenate(ids) if ids else None)


def from_logits(logits: NDArray[Any], target: Ints) -> Expected:
    """Of [n, V] logits; the softmax is taken in double precision."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(1, keepdims=True)
    logprob = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return from_logprobs(logprob, target)


def from_logprobs(logprob: NDArray[Any], target: Ints) -> Expected:
    return Expected(logprob.astype(np.float32), logprob[np.arange(len(target)), target].astype(np.float32))
