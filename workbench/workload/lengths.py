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


Lengths = Annotated[FixedTok | LogNormalTok | EmpiricalTok, Field(discriminator="kind")]


def expected_tok(lengths: FixedTok | LogNormalTok | EmpiricalTok, base: Path | None = None) -> float:
    """Mean length, clipping included, rounding left out (it moves the mean by well under a token)."""
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
