"""What moves the result: one input at a time (tornado), and all at once with those that go together (Monte Carlo)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.errors import UsageError

Floats = NDArray[np.float64]
Value = Callable[[Mapping[str, float]], float]


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Between low and high, most likely at `mode` (triangular)."""

    name: str
    low: float
    mode: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.mode <= self.high or self.low == self.high:
            raise UsageError(f"uncertain {self.name}: {self.mode} as the file has it is not between {self.low} and "
                             f"{self.high}")

    def at(self, uniform: Floats) -> Floats:
        """Quantiles."""
        split = (self.mode - self.low) / (self.high - self.low)
        rising = self.low + np.sqrt(uniform * (self.high - self.low) * (self.mode - self.low))
        falling = self.high - np.sqrt((1 - uniform) * (self.high - self.low) * (self.high - self.mode))
        return np.asarray(np.where(uniform < split, rising, falling), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Bar:
    """The result with one input at its ends and the others as they are."""

    name: str
    at_low: float
    at_high: float

    @property
    def span(self) -> float:
        return abs(self.at_high - self.at_low)


def tornado(inputs: Sequence[Uncertain], value: Value) -> list[Bar]:
    """The widest first; ties by name."""
    bars = [Bar(one.name, value({one.name: one.low}), value({one.name: one.high})) for one in inputs]
    return sorted(bars, key=lambda bar: (-bar.span, bar.name))


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the drawn results: quantiles, and how many lie below 0, with the error of having drawn only so many."""

    n: int
    mean: float
    standard_error: float
    p10: float
    p50: float
    p90: float
    loss_frac: float


def correlations(inputs: Sequence[Uncertain], together: Mapping[tuple[str, str], float]) -> Floats:
    """Of the normal scores; refused where no such inputs can exist (not positive definite)."""
    place = {one.name: i for i, one in enumerate(inputs)}
    found = np.eye(len(inputs))
    for (a, b), value in together.items():
        found[place[a], place[b]] = found[place[b], place[a]] = value
    least = float(np.linalg.eigvalsh(found).min(initial=1.0))
    if least < 1e-9:
        raise UsageError(f"together: these correlations contradict each other (smallest eigenvalue {least:.3g}); "
                         "make them smaller")
    return np.asarray(found, dtype=np.float64)


def draws(inputs: Sequence[Uncertain], together: Mapping[tuple[str, str], float], n: int, seed: int) -> Floats:
    """One row a draw, one column an input: triangular each, joined by a Gaussian copula."""
    root = np.linalg.cholesky(correlations(inputs, together))
    scores = np.random.default_rng(seed).standard_normal((n, len(inputs))) @ root.T
    uniform = stats.norm.cdf(scores)
    return np.column_stack([one.at(uniform[:, i]) for i, one in enumerate(inputs)])


def monte_carlo(
    inputs: Sequence[Uncertain], together: Mapping[tuple[str, str], float], value: Value, n: int, seed: int
) -> Spread:
    names = [one.name for one in inputs]
    rows = draws(inputs, together, n, seed).tolist()
    found = np.array([value(dict(zip(names, row, strict=True))) for row in rows])
    low, middle, high = (float(x) for x in np.quantile(found, (0.1, 0.5, 0.9)))
    return Spread(n, float(found.mean()), float(found.std(ddof=1) / np.sqrt(n)), low, middle, high,
                  float((found < 0).mean()))
