"""The measures: KL divergence to a base, perplexity against it, top-1 agreement. Nats, intervals by document."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.quality.distance.expected import Expected, Ints
from workbench.stats.accuracy import accuracy, clustered_error
from workbench.stats.intervals import Interval
from workbench.stats.quantiles import quantile

Doubles = NDArray[np.float64]
ROUNDING = 1e-6  # error of a sum of float32 probabilities: added to the rest that is divided by, it stays a lower bound
Kind = Literal["exact", "lower bound"]


@dataclass(frozen=True, slots=True)
class Distance:
    """To the base distribution, over `n` predicted tokens of `documents`. KL(base || this) in nats."""

    n: int
    documents: int
    perplexity: Interval
    base_perplexity: float
    log_ratio: Interval  # ln(perplexity / base's), token by token: both saw the same text
    kl_mean: Interval
    kl_median: float | None  # None: too few tokens
    kl_p999: float | None
    kl_kind: Kind
    top_1: Interval  # share of tokens at which both would choose the same next token

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Distance":
        values: dict[str, Any] = {name: Interval(**value) if isinstance(value, dict) else value
                                  for name, value in raw.items()}
        return Distance(**values)


def distance(base: Expected, found: Expected, document: Ints) -> Distance:
    """`document` [n] says which tokens belong together: neighbours are not independent."""
    if base.n != found.n or base.n != len(document):
        raise ValueError(f"{base.n}, {found.n} and {len(document)} tokens: not the same text")
    kl, kind = divergence(base, found)
    surprise, expected = -found.target.astype(np.float64), -base.target.astype(np.float64)
    loss = _mean(surprise, document)
    return Distance(
        n=base.n, documents=len(set(document.tolist())),
        perplexity=Interval(math.exp(loss.mean), math.exp(loss.low), math.exp(loss.high), base.n),
        base_perplexity=math.exp(float(expected.mean())), log_ratio=_mean(surprise - expected, document),
        kl_mean=_mean(kl, document), kl_median=quantile(kl, 0.5), kl_p999=quantile(kl, 0.999), kl_kind=kind,
        top_1=accuracy((base.top == found.top).astype(np.float64), document.tolist()),
    )


def divergence(base: Expected, found: Expected) -> tuple[Doubles, Kind]:
    """[n] KL(base || found) of each token. Where a distribution is not known whole, the tokens that both name and the
    rest as one: lumping never adds divergence (data-processing inequality), so that is a lower bound."""
    if base.ids is None and found.ids is None:
        return _kl(base.logprob.astype(np.float64), found.logprob.astype(np.float64)), "exact"
    named = base if base.ids is not None else found
    assert named.ids is not None
    p, q = _of(base, named.ids), _of(found, named.ids)
    both = np.isfinite(p) & np.isfinite(q)
    p, q = np.where(both, p, -np.inf), np.where(both, q, -np.inf)
    return _kl(_with_rest(p, 0.0), _with_rest(q, ROUNDING)), "lower bound"


def _kl(p: Doubles, q: Doubles) -> Doubles:
    """Of log-probabilities; what `p` excludes adds nothing, and rounding alone can bring a sum below zero."""
    gap = np.where(np.isfinite(p), p, 0.0) - np.where(np.isfinite(p), q, 0.0)
    found: Doubles = np.maximum((np.exp(p) * gap).sum(1), 0.0)
    return found


def _of(found: Expected, ids: Ints) -> Doubles:
    """[n, k] log-probabilities of `ids`; -inf for those that `found` does not name."""
    if found.ids is None:
        return np.take_along_axis(found.logprob, ids, 1).astype(np.float64)
    if found.ids is ids:
        return found.logprob.astype(np.float64)
    order = np.argsort(found.ids, 1)
    known, values = np.take_along_axis(found.ids, order, 1), np.take_along_axis(found.logprob, order, 1)
    out = np.full(ids.shape, -np.inf)
    for row in range(len(ids)):
        at = np.minimum(np.searchsorted(known[row], ids[row]), known.shape[1] - 1)
        hit = known[row, at] == ids[row]
        out[row, hit] = values[row, at[hit]]
    return out


def _with_rest(logprob: Doubles, more: float) -> Doubles:
    """One more column: what the named tokens leave of the probability, and `more`."""
    rest = np.maximum(1.0 - np.exp(logprob).sum(1, keepdims=True), 0.0) + more
    with np.errstate(divide="ignore"):
        return np.concatenate([logprob, np.log(rest)], 1)


def _mean(values: Doubles, document: Ints, level: float = 0.95) -> Interval:
    """Student's t over documents."""
    labels = document.tolist()
    half = float(stats.t.ppf(0.5 + level / 2, len(set(labels)) - 1)) * clustered_error(values, labels)
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half, len(values))
