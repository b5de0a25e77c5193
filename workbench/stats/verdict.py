"""The one place that says whether two sets of answers differ, and says it in words."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from workbench.stats.pairs import Floats, Pairs, pairs
from workbench.stats.power import least_difference
from workbench.stats.simultaneous import each_level


@dataclass(frozen=True, slots=True)
class Verdict:
    """`second` against `first` on the same items; `level` is of this comparison alone, so that its table's holds."""

    first: str
    second: str
    found: Pairs
    level: float
    least: float | None  # the smallest difference that these items would show in four of five tries

    @property
    def different(self) -> bool:
        """The interval leaves out zero, and where answers are right or wrong the exact test agrees: a bootstrap of a
        handful of changed items is too sure of itself."""
        return self.found.difference.excludes_zero and (self.found.p is None or self.found.p < 1 - self.level)

    @property
    def better(self) -> str | None:
        """The name with more right answers; None where they are not told apart: then nothing is ranked."""
        if not self.different:
            return None
        return self.second if self.found.difference.mean > 0 else self.first

    @property
    def words(self) -> str:
        """Said of `second`: "1.4 ± 0.9 points lower than F16", or "not distinguishable from F16 on 400 items"."""
        gap = self.found.difference
        if self.different:
            side = "higher" if gap.mean > 0 else "lower"
            half = 100 * (gap.high - gap.low) / 2
            return f"{100 * abs(gap.mean):.1f} ± {half:.1f} points {side} than {self.first}"
        seen = "no difference could be" if self.least is None else f"{100 * self.least:.1f} points would be"
        return f"not distinguishable from {self.first} on {self.found.n} items ({seen} seen)"


def verdict(
    first: str, second: str, scores: tuple[Floats, Floats], clusters: Sequence[Hashable] | None = None, *,
    family: int = 1, level: float = 0.95, seed: int = 0,
) -> Verdict:
    """Compare per-item scores of two; `family` is how many comparisons the table holds, all at `level` together."""
    own = each_level(family, level)
    found = pairs(*scores, clusters, level=own, seed=seed)
    return Verdict(first, second, found, own, least_difference(found.n, found.changed / found.n, level=own))
