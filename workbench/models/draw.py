"""A random generator that gives the same numbers in every Python version (splitmix64).

The world and its documents are settled for good: `random.Random` promises that only for
`random()`, and `hash()` of a string changes from process to process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1


def digest(*parts: object) -> int:
    """A 64-bit number that depends on the text of the parts alone."""
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class Draw:
    """A seeded stream of choices."""

    def __init__(self, *seed: object) -> None:
        self._state = digest("draw", *seed)

    def _next(self) -> int:
        # splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014)
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """An integer in [0, bound); the bias of the multiplication is under bound / 2**64."""
        return (self._next() * bound) >> 64

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + self.below(high - low + 1)

    def unit(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        return (self._next() >> 11) / (1 << 53)

    def choice(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        out = list(items)
        for last in range(len(out) - 1, 0, -1):
            other = self.below(last + 1)
            out[last], out[other] = out[other], out[last]
        return out

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        return self.shuffled(items)[:count]
