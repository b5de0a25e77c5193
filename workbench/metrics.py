"""Every metric, declared once: name, unit, which way is better, label, formula. All are functions of a run log.

Tables, axes, the glossary and `results.json` read these declarations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.runlog.table import RunLog
from workbench.stats.quantiles import quantile

Floats = NDArray[np.float64]
NS = 1e-9
QUANTILES: Mapping[str, float] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Slo:
    """What a request must meet to count as good; None leaves that part free."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One number about requests (a value each) or about a run (one value)."""

    name: str
    unit: str
    better: Literal["lower", "higher", ""]
    label: str
    formula: str
    per_request: Callable[[RunLog], Floats] | None = None

    @property
    def axis(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


def arrived(log: RunLog) -> RunLog:
    """Without what a simulation planned and never saw: requests due after its horizon, or of a closed loop that ended
    first. A measured run keeps its unsent requests: there the run failed them."""
    if log.world != "simulated" or not log.table.column("sent_ns").null_count:
        return log
    return log.where(~np.isnan(log.floats("sent_ns")))


def succeeded(log: RunLog) -> NDArray[np.bool_]:
    return log.is_ok


def _span(log: RunLog, end: str, start: str) -> Floats:
    """end - start in seconds of the requests that succeeded; NaN where either is unknown."""
    good = log.ok
    return np.asarray((good.floats(end) - good.floats(start)) * NS)


def first_chunk_tok(log: RunLog) -> tuple[Floats, bool]:
    """Tokens in each request's first chunk, and whether any had to be taken as one (a bound)."""
    if log.segments is not None:  # simulated: one token an iteration, or an answer that came at once
        chunks, output_tok = log.segments.tokens, log.floats("output_tok")
        return np.where((chunks == 1) & ~np.isnan(output_tok), output_tok, 1.0), bool((chunks == 0).any())
    row, tok = log.lists("chunk_tok")
    found = np.full(len(log), np.nan)
    first = np.r_[True, row[1:] != row[:-1]] if len(row) else np.zeros(0, dtype=bool)
    found[row[first]] = tok[first]
    unknown = np.isnan(found)
    return np.where(unknown, 1.0, found), bool(unknown.any())


def _tpot(log: RunLog) -> Floats:
    good = log.ok
    after = good.floats("output_tok") - first_chunk_tok(good)[0]
    span = (good.floats("last_token_ns") - good.floats("first_token_ns")) * NS
    found: Floats = np.divide(span, after, out=np.full(len(good), np.nan), where=after > 0)
    return found


def _gaps(log: RunLog) -> tuple[NDArray[np.int64], Floats]:
    """(row, seconds) of every gap between two chunks of one request."""
    row, at = log.ok.lists("chunk_ns")
    same = row[1:] == row[:-1]
    return row[1:][same], np.diff(at)[same] * NS


def _stall(log: RunLog) -> Floats:
    if log.ok.segments is not None:
        return np.asarray(log.ok.segments.stall_ns() * NS)
    row, gap = _gaps(log)
    worst: Floats = np.full(int(succeeded(log).sum()), -np.inf)
    np.maximum.at(worst, row, gap)
    return worst[np.isfinite(worst)]


PER_REQUEST: tuple[Metric, ...] = (
    Metric("ttft_s", "s", "lower", "time to first token", "first_token - sent",
           lambda log: _span(log, "first_token_ns", "sent_ns")),
    Metric("ttft_user_s", "s", "lower", "time to first token, from the intended send", "first_token - intended",
           lambda log: _span(log, "first_token_ns", "intended_ns")),
    Metric("tpot_s", "s", "lower", "time per output token",
           "(last_token - first_token) / (output_tok - tokens of the first chunk)", _tpot),
    Metric("e2e_s", "s", "lower", "end-to-end latency", "last_token - sent",
           lambda log: _span(log, "last_token_ns", "sent_ns")),
    Metric("client_queue_s", "s", "lower", "wait inside the client", "sent - intended",
           lambda log: _span(log, "sent_ns", "intended_ns")),
    Metric("gap_s", "s", "lower", "gap between chunks", "time between two chunks of one answer, over all answers",
           lambda log: _gaps(log)[1]),
    Metric("stall_s", "s", "lower", "longest gap of an answer", "largest gap_s of each request", _stall),
)
PER_RUN: tuple[Metric, ...] = (
    Metric("request_rate_rps", "requests/s", "higher", "completed requests per second", "ok requests / window"),
    Metric("output_tok_per_s", "tok/s", "higher", "output tokens per second", "output tokens of ok requests / window"),
    Metric("prompt_tok_per_s", "tok/s", "higher", "prompt tokens per second", "prompt tokens of ok requests / window"),
    Metric("goodput_rps", "requests/s", "higher", "goodput", "ok requests that meet every SLO / window"),
    Metric("slo_attainment_frac", "", "higher", "SLO attainment", "ok requests that meet every SLO / all requests"),
    Metric("error_frac", "", "lower", "requests that did not end ok", "(all - ok) / all"),
    Metric("concurrency_mean", "requests", "", "requests in the system", "sum of (end - sent) / window"),
    Metric("window_s", "s", "", "measured window", "last end - first send"),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in PER_REQUEST + PER_RUN}


def values(log: RunLog, name: str) -> Floats:
    """A per-request metric of every counted request that has one, in row order, without NaN."""
    metric = METRICS[name]
    if metric.per_request is None:
        raise KeyError(f"{name} is a metric of a run, not of a request")
    found = metric.per_request(log.counted)
    return found[~np.isnan(found)]


def meets(log: RunLog, slo: Slo) -> NDArray[np.bool_]:
    """Per row: ended ok and met every part of the SLO. A part that cannot be known is not met,
    except TPOT of a one-token answer, which has none."""
    good = succeeded(log)
    held = np.ones(int(good.sum()), dtype=bool)
    for limit, name in ((slo.ttft_s, "ttft_s"), (slo.tpot_s, "tpot_s"), (slo.e2e_s, "e2e_s")):
        compute = METRICS[name].per_request
        if limit is None or compute is None:
            continue
        found = compute(log)
        within = found <= limit
        if name == "tpot_s":
            within |= log.ok.floats("output_tok") <= 1
        held &= within
    result = np.zeros(len(log), dtype=bool)
    result[good] = held
    return result


def window_s(log: RunLog) -> float:
    """First send to last end of the counted rows, in seconds; 0 when nothing was sent."""
    sent, end = log.floats("sent_ns"), log.floats("end_ns")
    if np.isnan(sent).all() or np.isnan(end).all():
        return 0.0
    return float(np.nanmax(end) - np.nanmin(sent)) * NS


def run_values(log: RunLog, slo_by_tier: Mapping[str, Slo]) -> dict[str, float | None]:
    """The metrics of the run as a whole, over its counted rows that arrived."""
    log = arrived(log).counted
    window, n, good = window_s(log), len(log), succeeded(log)
    met = np.zeros(n, dtype=bool)
    tiers = log.text("tier")
    for tier in dict.fromkeys(tiers.tolist()):
        mine = np.asarray(tiers == tier, dtype=bool)
        part = log if mine.all() else log.where(mine)
        met[mine] = meets(part, slo_by_tier.get(tier, slo_by_tier.get("*", Slo())))
    done = log.ok
    inside = np.nansum(log.floats("end_ns") - log.floats("sent_ns")) * NS
    rates: dict[str, float] = {
        "request_rate_rps": float(good.sum()),
        "output_tok_per_s": float(np.nansum(done.floats("output_tok"))),
        "prompt_tok_per_s": float(np.nansum(done.floats("prompt_tok"))),
        "goodput_rps": float(met.sum()),
        "concurrency_mean": float(inside),
    }
    found: dict[str, float | None] = {k: v / window if window > 0 else None for k, v in rates.items()}
    found["slo_attainment_frac"] = float(met.mean()) if n else None
    found["error_frac"] = 1.0 - float(good.mean()) if n else None
    found["window_s"] = window
    return found


def describe(found: Floats) -> dict[str, float | int | None]:
    """mean, p50, p95, p99, max, n of some values; None where n is too small."""
    summary: dict[str, float | int | None] = {"mean": float(found.mean()) if len(found) else None}
    summary |= {name: quantile(found, q) for name, q in QUANTILES.items()}
    return summary | {"max": float(found.max()) if len(found) else None, "n": len(found)}


def _describe_gaps(log: RunLog) -> dict[str, float | int | None] | None:
    """`describe(values(log, "gap_s"))` without writing out a value for every token; None where they are lists."""
    segments = log.counted.ok.segments
    if segments is None:
        return None
    n = segments.gap_n()
    summary: dict[str, float | int | None] = {"mean": segments.gap_sum_ns() / n * NS if n else None}
    for name, q in QUANTILES.items():
        found = segments.gap_quantile_ns(q)
        summary[name] = None if found is None else found * NS
    return summary | {"max": segments.gap_max_ns() * NS if n else None, "n": n}


def summarise(log: RunLog, slo_by_tier: Mapping[str, Slo] | None = None) -> dict[str, Any]:
    """All metrics of a run log in the one JSON shape: `metrics.ttft_s.mean.measured`.

    The innermost key says the world, so that two summaries merge into one table. `*` is the SLO of every
    tier that has none of its own. `requests`, `warmup` and `not_arrived` add up to the rows.
    """
    slo, world, came = slo_by_tier or {}, log.world, arrived(log)
    not_arrived, log, counted = len(log) - len(came), came, came.counted
    metrics: dict[str, Any] = {}
    for metric in PER_REQUEST:
        short = _describe_gaps(log) if metric.name == "gap_s" else None
        stats = describe(values(log, metric.name)) if short is None else short
        metrics[metric.name] = {"unit": metric.unit} | {key: {world: value} for key, value in stats.items()}
    for name, value in run_values(log, slo).items():
        metrics[name] = {"unit": METRICS[name].unit, "value": {world: value}}
    return {
        "kind": "workbench.summary", "schema": SCHEMA, "world": log.provenance.world, "partial": log.partial,
        "requests": len(counted), "warmup": len(log) - len(counted), "not_arrived": not_arrived,
        "outcomes": counted.outcomes(),
        "tpot_is_bound": first_chunk_tok(counted.ok)[1],
        "metrics": metrics,
    }
