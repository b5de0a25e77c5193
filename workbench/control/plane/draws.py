"""Random numbers of a policy: the same on every driver and machine, and part of what a journal replays."""

from workbench.control.routing.hashing import mixed, point

_STEP, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


class Draws:
    """A stream of its own for each seed and name. Source: SplitMix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, seed: int, name: str) -> None:
        self._state = point(f"{seed}/{name}")

    def random(self) -> float:
        """At least 0, below 1: 53 bits."""
        self._state = self._state + _STEP & _MASK
        return (mixed(self._state) >> 11) / (1 << 53)
