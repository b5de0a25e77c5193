"""The models that a fit may choose from, frozen beforehand, simplest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from workbench.profile.batch import Batch
from workbench.profile.decode_run import FS_PER_NS
from workbench.profile.model import FEATURES, Feature, Linear, Table
from workbench.profile.solve import solve

Floats = NDArray[np.float64]
# drafted tokens cannot be told from a client's log: no fit looks for them
NAMES: tuple[Feature, ...] = tuple(name for name in get_args(Feature) if name != "draft_tok")
MAX_KNOTS = 33


@dataclass(frozen=True, slots=True)
class Kind:
    """A candidate: its linear features, and whether step and decodes are a monotone table instead."""

    name: str
    features: tuple[Feature, ...]
    table: bool = False


KINDS = (
    Kind("linear: step, prefill tokens, decodes", ("step", "prefill_tok", "decode_n")),
    Kind("linear: the same and ubatches", ("step", "extra_ubatch", "prefill_tok", "decode_n")),
    Kind("linear: all features", NAMES),
    Kind("table over decodes, prefill tokens, ubatches", ("extra_ubatch", "prefill_tok"), table=True),
)


def feature_matrix(batches: Sequence[Batch]) -> Floats:
    """One row a batch, one column per name of NAMES."""
    rows = [[FEATURES[name](batch) for name in NAMES] for batch in batches]
    return np.asarray(rows, dtype=np.float64).reshape(len(batches), len(NAMES))


def knots(decode_n: Floats) -> tuple[int, ...]:
    """The numbers of decodes that were measured, thinned evenly where they are many."""
    distinct = np.unique(decode_n.astype(np.int64))
    picked = np.unique(np.linspace(0, len(distinct) - 1, min(len(distinct), MAX_KNOTS)).round().astype(int))
    return tuple(int(item) for item in distinct[picked])


@dataclass(frozen=True)
class Fitted:
    """A candidate with its coefficients in ns: `coefficients` belong to the columns of `design`."""

    kind: Kind
    at: tuple[int, ...]
    coefficients: Floats

    def predict_ns(self, features: Floats) -> Floats:
        return np.maximum(design(self.kind, self.at, features) @ self.coefficients, 1.0)

    def scaled(self, factor: float) -> "Fitted":
        """Every time multiplied."""
        return Fitted(self.kind, self.at, self.coefficients * factor)

    def model(self) -> Linear | Table:
        """In whole femtoseconds."""
        whole = [round(float(value) * FS_PER_NS) for value in self.coefficients]
        slopes = dict(zip(self.kind.features, whole[len(self.at):], strict=True))
        if not self.kind.table:
            return Linear(coefficients_fs=slopes)
        steps = np.cumsum(whole[: len(self.at)]).tolist()
        return Table(decode_n=self.at, step_fs=tuple(int(item) for item in steps), slopes_fs=slopes)

    def named(self) -> dict[str, float]:
        """Coefficients by feature; a table by its times at its knots."""
        values = [float(item) for item in self.coefficients]
        found = {str(name): value for name, value in zip(self.kind.features, values[len(self.at):], strict=True)}
        steps = np.cumsum(values[: len(self.at)]).tolist()
        return {**{f"step at {n} decodes": float(step) for n, step in zip(self.at, steps, strict=True)}, **found}


def design(kind: Kind, at: Sequence[int], features: Floats) -> Floats:
    """Columns of the least-squares problem.

    A table is a sum of ramps, one from each knot to the next, each with a height >= 0: so it cannot decrease, and
    table and slopes are found together rather than in turns.
    """
    columns = [features[:, NAMES.index(name)] for name in kind.features]
    if kind.table:
        decodes = features[:, NAMES.index("decode_n")]
        ramps = [np.ones(len(features))]
        ramps += [np.clip((decodes - a) / (b - a), 0.0, 1.0) for a, b in pairwise(at)]
        columns = ramps + columns
    return np.column_stack(columns)


def fit_kind(kind: Kind, features: Floats, measured: Floats) -> Fitted:
    at = knots(features[:, NAMES.index("decode_n")]) if kind.table else ()
    return Fitted(kind, at, solve(design(kind, at, features), measured))
