"""Expert kernels: time over tokens and over how many different experts those tokens reach."""

from pathlib import Path

from pydantic import Field

from workbench.config import Settings
from workbench.errors import Failure
from workbench.profile.kernels.curve import Curve
from workbench.profile.kernels.rows import place, rows, time_ps, whole


class Experts(Settings):
    """`curves[i]` is the time over tokens when `activated[i]` experts are reached. One accelerator's kernel.

    `number` experts in all, `per_tok` for each token, spread over `shards` accelerators (expert parallelism).
    """

    number: int = Field(ge=1)
    per_tok: int = Field(ge=1)
    shards: int = Field(default=1, ge=1)
    activated: tuple[int, ...] = Field(min_length=1)
    curves: tuple[Curve, ...] = Field(min_length=1)

    def reached(self, tokens: int) -> float:
        """Different experts of one shard that `tokens` tokens reach on average, every expert equally likely."""
        share = 1.0 - min(self.per_tok, self.number) / self.number
        return self.number / self.shards * (1.0 - share ** tokens)

    def value_ps(self, tokens: int) -> int:
        """One layer's experts for `tokens` tokens of all ranks together, on the shard where they are spread evenly.

        A shard computes its part of the (token, expert) pairs: as many as `tokens / shards` tokens have in the
        measurement, where one accelerator held every expert.
        """
        here, reached = -(-tokens // self.shards), self.reached(tokens)
        low, high = self._between(reached)
        y0 = self.curves[low].value_ps(here)
        if low == high:
            return y0
        x0, x1, y1 = self.activated[low], self.activated[high], self.curves[high].value_ps(here)
        return max(1, int(y0 + (y1 - y0) * ((reached - x0) / (x1 - x0))))

    def _between(self, reached: float) -> tuple[int, int]:
        last = len(self.activated) - 1
        if reached <= self.activated[0]:
            return 0, 0
        if reached >= self.activated[last]:
            return last, last
        high = next(i for i, value in enumerate(self.activated) if value >= reached)
        return high - 1, high

    def split(self, parts: int) -> "Experts":
        """Every expert cut in `parts` (tensor parallelism): each accelerator does its part of each."""
        return self.model_copy(update={"curves": tuple(curve.split(parts) for curve in self.curves)})


def read_experts(path: Path, number: int, per_tok: int, shards: int) -> Experts:
    """From `tokens,activated_experts,time_us`; of a cell that occurs twice the later line counts."""
    found: dict[int, dict[int, int]] = {}
    for line, row in rows(path, ("tokens", "activated_experts", "time_us")):
        tokens, reached = whole(path, line, row, "tokens", 1), whole(path, line, row, "activated_experts", 1)
        found.setdefault(reached, {})[tokens] = time_ps(path, line, row)
    if not found:
        raise Failure(f"{place(path)}: it holds no row")
    curves = [Curve(at=tuple(sorted(cells)), ps=tuple(cells[x] for x in sorted(cells)))
              for _, cells in sorted(found.items())]
    return Experts(number=number, per_tok=per_tok, shards=shards, activated=tuple(sorted(found)), curves=tuple(curves))
