"""How long prompts and answers are, in tokens. One uniform a request: a changed rate leaves lengths alone."""

import csv
import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from workbench import paths
from workbench.config import Settings
from workbench.errors import ConfigError, UsageError

Tok = Annotated[int, Field(ge=1, le=10_000_000)]  # no context is longer, and no memory is endless
Floats = NDArray[np.float64]
Z95 = 1.6448536269514722  # the standard normal distribution's 0.95 quantile: scipy.special.ndtri(0.95)


class FixedTok(Settings):
    """Every request the same length."""

    kind: Literal["fixed"] = "fixed"
    tok: Tok

    def lengths_tok(self, uniform: Floats, _base: Path) -> NDArray[np.int64]:
        return np.full(len(uniform), self.tok, dtype=np.int64)


class LogNormalTok(Settings):
    """Lognormal lengths, by mean and sigma (of the logarithm) or by median and 95th percentile.

    Values are rounded to whole tokens and clipped to [min_tok, max_tok]. Clipping piles the tail up at the bound: the
    mean moves, `mean_tok` is that of the unclipped distribution, and the 95th percentile holds only below max_tok.
    """

    kind: Literal["lognormal"] = "lognormal"
    mean_tok: float | None = Field(default=None, gt=0)
    sigma: float | None = Field(default=None, ge=0)
    p50_tok: float | None = Field(default=None, gt=0)
    p95_tok: float | None = Field(default=None, gt=0)
    min_tok: Tok = 1
    max_tok: Tok

    @model_validator(mode="after")
    def _one_way(self) -> "LogNormalTok":
        given = tuple(item is not None for item in (self.mean_tok, self.sigma, self.p50_tok, self.p95_tok))
        if given not in {(True, True, False, False), (False, False, True, True)}:
            raise ValueError("give mean_tok and sigma, or p50_tok and p95_tok")
        if self.p50_tok is not None and self.p95_tok is not None and self.p95_tok < self.p50_tok:
            raise ValueError("p95_tok is below p50_tok")
        if self.max_tok < self.min_tok:
            raise ValueError("max_tok is below min_tok")
        return self

    @property
    def mu_sigma(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm."""
        if self.p50_tok is not None and self.p95_tok is not None:
            return math.log(self.p50_tok), math.log(self.p95_tok / self.p50_tok) / Z95
        sigma = self.sigma or 0.0
        return math.log(self.mean_tok or 1.0) - sigma * sigma / 2, sigma

    def lengths_tok(self, uniform: Floats, _base: Path) -> NDArray[np.int64]:
        from scipy import special  # takes 0.1 s to load, and few workloads need it

        mu, sigma = self.mu_sigma
        inner = np.clip(uniform, 1e-300, None)  # ndtri(0) is minus infinity, and 0 * inf is NaN
        value = np.exp(mu + sigma * np.asarray(special.ndtri(inner)))
        return np.asarray(np.rint(np.clip(value, self.min_tok, self.max_tok)), dtype=np.int64)


class EmpiricalTok(Settings):
    """Lengths drawn with replacement from a list, or from one column of a CSV file.

    `file` is relative to the configuration's folder, or to the folder that WORKBENCH_DATA names.
    """

    kind: Literal["empirical"] = "empirical"
    tok: tuple[Tok, ...] | None = Field(default=None, min_length=1)
    file: str | None = None
    column: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "EmpiricalTok":
        if (self.tok is None) == (self.file is None) or (self.file is None) != (self.column is None):
            raise ValueError("give either tok = [...] or file and column")
        return self

    def values(self, base: Path) -> NDArray[np.int64]:
        if self.tok is not None:
            return np.asarray(self.tok, dtype=np.int64)
        return read_column(find_file(base, self.file or ""), self.column or "")

    def lengths_tok(self, uniform: Floats, base: Path) -> NDArray[np.int64]:
        values = np.sort(self.values(base))  # sorted: a larger uniform is a longer request, in every source
        picked = np.minimum((uniform * len(values)).astype(np.int64), len(values) - 1)
        return np.asarray(values[picked], dtype=np.int64)


Plain = FixedTok | LogNormalTok | EmpiricalTok


class Part(Settings):
    """One kind of request among several."""

    weight: float = Field(gt=0, le=1e9)
    of: Annotated[Plain, Field(discriminator="kind")]


class MixtureTok(Settings):
    """Several kinds of request, each with lengths of its own, by `weight`.

    Drawn through the inverse of the mixture's distribution over whole tokens, so a larger uniform is a longer request
    here, too.
    """

    kind: Literal["mixture"] = "mixture"
    parts: tuple[Part, ...] = Field(min_length=1, max_length=100)

    def lengths_tok(self, uniform: Floats, base: Path) -> NDArray[np.int64]:
        ends = [_ends(part.of, base) for part in self.parts]
        tok = np.arange(min(low for low, _ in ends), max(high for _, high in ends) + 1, dtype=np.int64)
        weights = np.array([part.weight for part in self.parts])
        below = sum(weight * _share_up_to(part.of, tok, base)
                    for weight, part in zip(weights / weights.sum(), self.parts, strict=True))
        picked = np.searchsorted(np.asarray(below), uniform, side="right")
        return np.asarray(tok[np.minimum(picked, len(tok) - 1)], dtype=np.int64)


Lengths = Annotated[Plain | MixtureTok, Field(discriminator="kind")]


def _ends(lengths: Plain, base: Path) -> tuple[int, int]:
    """The shortest and the longest that can come."""
    if isinstance(lengths, FixedTok):
        return lengths.tok, lengths.tok
    if isinstance(lengths, LogNormalTok):
        return lengths.min_tok, lengths.max_tok
    values = lengths.values(base)
    return int(values.min()), int(values.max())


def _share_up_to(lengths: Plain, tok: NDArray[np.int64], base: Path) -> Floats:
    """P(length <= tok), rounding and clipping included."""
    if isinstance(lengths, FixedTok):
        return np.asarray(tok >= lengths.tok, dtype=np.float64)
    if isinstance(lengths, EmpiricalTok):
        values = np.sort(lengths.values(base))
        return np.asarray(np.searchsorted(values, tok, side="right") / len(values), dtype=np.float64)
    from scipy import special

    mu, sigma = lengths.mu_sigma
    score = np.log(tok + 0.5) - mu
    found = special.ndtr(score / sigma) if sigma else (score >= 0).astype(np.float64)
    return np.asarray(np.where(tok >= lengths.max_tok, 1.0, np.where(tok < lengths.min_tok, 0.0, found)))


def correlated(first: Floats, second: Floats, corr: float) -> Floats:
    """`second` made to follow `first`: uniforms still, whose normal scores have this correlation (Gaussian copula)."""
    if corr == 0.0:
        return second
    from scipy import special

    a, b = (special.ndtri(np.clip(item, 1e-300, None)) for item in (first, second))
    return np.asarray(special.ndtr(corr * a + math.sqrt(1 - corr * corr) * b), dtype=np.float64)


def expected_tok(lengths: Plain | MixtureTok, base: Path | None = None) -> float:
    """Mean length, clipping included, rounding left out (it moves the mean by well under a token)."""
    if isinstance(lengths, MixtureTok):
        whole = sum(part.weight for part in lengths.parts)
        return sum(part.weight * expected_tok(part.of, base) for part in lengths.parts) / whole
    if isinstance(lengths, FixedTok):
        return float(lengths.tok)
    if isinstance(lengths, EmpiricalTok):
        return float(lengths.values(base or Path.cwd()).mean())
    mu, sigma = lengths.mu_sigma
    if sigma == 0:
        return float(min(max(math.exp(mu), lengths.min_tok), lengths.max_tok))
    from scipy import special

    low, high = ((math.log(bound) - mu) / sigma for bound in (lengths.min_tok, lengths.max_tok))
    inside = math.exp(mu + sigma * sigma / 2) * float(special.ndtr(high - sigma) - special.ndtr(low - sigma))
    return inside + lengths.min_tok * float(special.ndtr(low)) + lengths.max_tok * float(special.ndtr(-high))


def find_file(base: Path, name: str) -> Path:
    """A file that a configuration names: in its own folder, else in the folder of public data."""
    for folder in (base, paths.public_data()):
        if folder is not None and (found := paths.inside(folder, name)).is_file():
            return found
    raise UsageError(f"{name}: no such file beside the configuration or under WORKBENCH_DATA")


def read_column(path: Path, column: str) -> NDArray[np.int64]:
    """One column of whole numbers, at least 1 each; a bad one is one line with its line number."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        if column not in (rows.fieldnames or ()):
            raise ConfigError(path.name, column, "no such column", f"columns: {', '.join(rows.fieldnames or ())}")
        values = [whole(row[column], path.name, rows.line_num, column) for row in rows]
    if not values:
        raise ConfigError(path.name, column, "no rows")
    return np.asarray(values, dtype=np.int64)


def whole(text: object, file: str, line: int, column: str) -> int:
    """A length as written in a file: a whole number of at least 1."""
    shown = str(text).strip() if text is not None else ""
    if not shown.isascii() or not shown.isdigit() or len(shown) > 12 or int(shown) < 1:
        raise ConfigError(file, f"line {line}: {column}", f"{shown[:40]!r} is not a whole number of at least 1")
    return int(shown)
