"""One kernel's time over one axis."""

from bisect import bisect_left
from pathlib import Path

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.profile.kernels.rows import rows, time_ps, whole

TILE = 16  # tokens: matrix kernels work in tiles of a multiple of this


class Curve(Settings):
    """Between points at most one tile apart the later one counts: a tile begun takes as long as a full one. Between
    others a straight line; level before the first, the last line's slope after the last."""

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
        i = min(bisect_left(self.at, x), len(self.at) - 1)
        x0, x1, y0, y1 = self.at[i - 1], self.at[i], self.ps[i - 1], self.ps[i]
        if x > x1 and y1 < y0:
            return y1  # noise at the end must not become less and less time
        if x1 - x0 <= TILE and x0 < x <= x1:
            return y1
        return y0 + (y1 - y0) * (x - x0) // (x1 - x0)

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
