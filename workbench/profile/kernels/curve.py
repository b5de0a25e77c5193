"""One kernel's time over one axis."""

from bisect import bisect_left, bisect_right
from functools import cached_property
from pathlib import Path

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.profile.kernels.rows import rows, time_ps, whole

TILE = 16  # tokens: matrix kernels work in tiles of a multiple of this


class Curve(Settings):
    """Between points at most one tile apart the later one counts: a tile begun takes as long as a full one. Between
    others a straight line; level before the first. After the last the mean slope of the axis' upper half goes on:
    between the last two points there may be no more than the step of one tile."""

    at: tuple[int, ...] = Field(min_length=1)  # tokens or sequences, increasing
    ps: tuple[int, ...]

    @model_validator(mode="after")
    def _shape(self) -> "Curve":
        if len(self.at) != len(self.ps) or any(a >= b for a, b in zip(self.at, self.at[1:], strict=False)):
            raise ValueError("a curve needs one time per point, at increasing points")
        return self

    def value_ps(self, x: int) -> int:
        """Whole picoseconds, rounded down between points."""
        if x <= self.at[0] or len(self.at) == 1:
            return self.ps[0]
        if x > self.at[-1]:
            rise_ps, over_tok = self._beyond
            return self.ps[-1] + rise_ps * (x - self.at[-1]) // over_tok
        i = bisect_left(self.at, x)
        x0, x1, y0, y1 = self.at[i - 1], self.at[i], self.ps[i - 1], self.ps[i]
        if x1 - x0 <= TILE:
            return y1
        return y0 + (y1 - y0) * (x - x0) // (x1 - x0)

    @cached_property
    def _beyond(self) -> tuple[int, int]:
        """Slope after the last point; noise at the end must not become less and less time."""
        middle = max(0, min(bisect_right(self.at, self.at[-1] // 2) - 1, len(self.at) - 2))
        return max(0, self.ps[-1] - self.ps[middle]), self.at[-1] - self.at[middle]

    def split(self, parts: int) -> "Curve":
        """The same work over `parts` accelerators."""
        return Curve(at=self.at, ps=tuple(max(1, value // parts) for value in self.ps))


def read_curves(path: Path, axis: str) -> dict[str, Curve]:
    """Curve per layer from `layer,<axis>,time_us`; of a point that occurs twice the later line counts."""
    found: dict[str, dict[int, int]] = {}
    for line, row in rows(path, ("layer", axis, "time_us")):
        found.setdefault(row["layer"], {})[whole(path, line, row, axis, 1)] = time_ps(path, line, row)
    return {name: Curve(at=tuple(sorted(points)), ps=tuple(points[x] for x in sorted(points)))
            for name, points in found.items()}
