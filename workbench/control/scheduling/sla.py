"""Did each tier get what it was promised? Attainment over a window, in whole parts per million."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from workbench.control.limits.answer import whole

PPM = 1_000_000


class Target(NamedTuple):
    """What a tier was promised: each limit that is stated, for at least `target_ppm` of its requests."""

    ttft_ns: int | None = None
    e2e_ns: int | None = None
    target_ppm: int = 990_000


class Attained(NamedTuple):
    """Of the requests that ended within the window."""

    met: int
    total: int

    @property
    def ppm(self) -> int | None:
        """Rounded down; None where nothing ended."""
        return self.met * PPM // self.total if self.total else None


class Attainment:
    """Counts by tier in `slots` slots, of which the oldest is dropped whole.

    So an answer covers between window - window / slots and window; memory is slots x tiers, whatever the load.
    """

    def __init__(self, targets: Mapping[str, Target | Mapping[str, int]], window_ns: int, slots: int = 60) -> None:
        self.window_ns, self.slots = whole("window_ns", window_ns), whole("slots", slots)
        if window_ns % slots:
            raise ValueError(f"window_ns {window_ns}: is not a whole multiple of {slots} slots")
        self.targets: dict[str, Target] = {}
        for tier, target in targets.items():
            try:
                self.targets[tier] = target if isinstance(target, Target) else Target(**target)
            except TypeError:
                keys = ", ".join(Target._fields)
                raise ValueError(f"targets.{tier} {target!r}: known keys: {keys}") from None
            whole(f"targets.{tier}.target_ppm", self.targets[tier].target_ppm, 0)
        self._seen: dict[str, deque[list[int]]] = {tier: deque() for tier in self.targets}  # slot, met, total
        self._now_ns = 0

    def told(self, now_ns: int, tier: str, ttft_ns: int | None, e2e_ns: int | None, ok: bool = True) -> bool:
        """A request of the tier ended. What failed, was shed or never gave a byte was not met. Was it?"""
        target = self._target(tier)
        seen = self._sweep(now_ns, tier)
        met = ok and _within(ttft_ns, target.ttft_ns) and _within(e2e_ns, target.e2e_ns)
        slot = now_ns * self.slots // self.window_ns
        if not seen or seen[-1][0] != slot:
            seen.append([slot, 0, 0])
        seen[-1][1] += met
        seen[-1][2] += 1
        return met

    def attained(self, now_ns: int, tier: str) -> Attained:
        self._target(tier)
        seen = self._sweep(now_ns, tier)
        return Attained(sum(slot[1] for slot in seen), sum(slot[2] for slot in seen))

    def short(self, now_ns: int) -> tuple[str, ...]:
        """Tiers below their promise now, in the order in which they were given."""
        found = []
        for tier, target in self.targets.items():
            met, total = self.attained(now_ns, tier)
            if met * PPM < target.target_ppm * total:
                found.append(tier)
        return tuple(found)

    def _target(self, tier: str) -> Target:
        if tier not in self.targets:
            raise ValueError(f"tier {tier!r} has no target; known: {', '.join(self.targets)}")
        return self.targets[tier]

    def _sweep(self, now_ns: int, tier: str) -> deque[list[int]]:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
        seen, oldest = self._seen[tier], now_ns * self.slots // self.window_ns - self.slots + 1
        while seen and seen[0][0] < oldest:
            seen.popleft()
        return seen


def _within(value_ns: int | None, limit_ns: int | None) -> bool:
    return limit_ns is None or (value_ns is not None and value_ns <= limit_ns)
