"""What a model can be asked, whichever engine serves it, and how an answer that cannot be had is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.errors import Failure
from workbench.quality.items import Sampling


class AskFailed(Failure):
    """One question could not be answered; the run goes on, and the item is a row with this reason."""


class EngineLost(Failure):
    """The engine does not answer any more: nothing else can be asked of it."""


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Of each option after the prompt: summed log-probability in nats, and whether greedy decoding would say it."""

    loglik: tuple[float, ...]
    greedy: tuple[bool, ...]
    prompt_tok: int
    scored_tok: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Generated:
    """Text as it came, without the stop that ended it."""

    text: str
    prompt_tok: int | None
    output_tok: int | None
    truncated: bool


class Asker(Protocol):
    """One engine, one model. Every method raises AskFailed or EngineLost."""

    def options(self, pairs: Sequence[tuple[str, str]]) -> Likelihoods:
        """Log-likelihood of each pair's second text as the continuation of its first."""

    def text(self, text: str) -> Likelihoods:
        """Log-likelihood of a text from its beginning; one value."""

    def generate(self, prompt: str, sampling: Sampling, seed: int | None) -> Generated:
        """What the model writes after the prompt."""
