"""A semantic cache as a model: how often it answers, and how often wrongly, is measured elsewhere and goes in.

It answers a prompt with the kept answer of a similar one. What matters for a decision is the share of prompts that
find a similar one at the threshold chosen, and the share of those whose answer is wrong for them (false hits).
"""

from collections.abc import Hashable
from typing import NamedTuple, Protocol


class Randomness(Protocol):
    def random(self) -> float: ...


class SemanticHit(NamedTuple):
    """`wrong` is known to the model alone: who is answered never sees it, a report must."""

    wrong: bool


class Semantic:
    """From counts of an evaluation: `lookups` prompts against a filled cache, of which `hits` found a similar one,
    of which `false_hits` were answered wrongly.

    Nothing is found before something of the same pool (model, revision, parameters and scope: pass what identifies
    them) is kept; that a small pool finds less often than the evaluated one is left out.
    """

    def __init__(self, lookups: int, hits: int, false_hits: int, randomness: Randomness) -> None:
        if not 0 <= false_hits <= hits <= lookups or lookups < 1:
            raise ValueError(f"false_hits {false_hits}, hits {hits}, lookups {lookups}: each at most the next, the "
                             "last at least 1")
        self.lookups, self.hits, self.false_hits = lookups, hits, false_hits
        self._randomness, self._pools = randomness, set[Hashable]()

    def keep(self, now_ns: int, pool: Hashable) -> None:  # noqa: ARG002 - every policy is told the time
        self._pools.add(pool)

    def look(self, now_ns: int, pool: Hashable) -> SemanticHit | None:  # noqa: ARG002 - every policy is told the time
        """One draw a look, whatever is kept: variants of a scenario stay on common random numbers."""
        drawn = int(self._randomness.random() * self.lookups)  # one of the evaluated prompts, each as likely
        if pool not in self._pools or drawn >= self.hits:
            return None
        return SemanticHit(drawn < self.false_hits)

    def withdraw(self, now_ns: int, pool: Hashable) -> None:  # noqa: ARG002 - every policy is told the time
        self._pools.discard(pool)
