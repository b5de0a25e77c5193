"""How full the line is, told upstream in levels that do not flicker."""

from collections.abc import Sequence
from itertools import pairwise

from workbench.control.limits.answer import whole


class Pressure:
    """Level n begins when the line reaches `up[n - 1]` and ends when it falls to `down[n - 1]`; level 0 is calm.

    up and down rise, and each down lies below its up: between the two the level stays what it was, so a change back
    takes at least up - down arrivals or departures.
    """

    def __init__(self, up: Sequence[int], down: Sequence[int]) -> None:
        self.up, self.down = tuple(up), tuple(down)
        if len(self.up) != len(self.down) or not self.up:
            raise ValueError(f"pressure.up {list(up)}, down {list(down)}: give both, equally many")
        for i, (rise, fall) in enumerate(zip(self.up, self.down, strict=True)):
            whole(f"pressure.up[{i}]", rise)
            if whole(f"pressure.down[{i}]", fall, 0) >= rise:
                raise ValueError(f"pressure.down[{i}] {fall}: must lie below up[{i}] {rise}")
        for name, bounds in (("up", self.up), ("down", self.down)):
            if any(a >= b for a, b in pairwise(bounds)):
                raise ValueError(f"pressure.{name} {list(bounds)}: must rise")
        self.level = 0

    def update(self, length: int) -> int:
        """The level after the line became so long."""
        while self.level < len(self.up) and length >= self.up[self.level]:
            self.level += 1
        while self.level and length <= self.down[self.level - 1]:
            self.level -= 1
        return self.level
