"""Latencies of a measured vLLM run and of its simulation, defined alike, side by side."""

import csv
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.result import SimResult
from workbench.errors import Failure
from workbench.flows.vllm_run import NS_PER_S, Measured, Served
from workbench.metrics import describe
from workbench.runlog.schema import Planned

STATS = ("mean", "p50", "p95", "p99")
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds per request, in the order of the schedule. TPOT only of requests with two tokens or more."""

    ttft_s: Times
    tpot_s: Times
    e2e_s: Times


def compare(real: Latencies, twin: Latencies) -> dict[str, Any]:
    """`ttft_s.mean.{measured, simulated, rel_error_frac}`; `mape_frac` over the requests of both."""
    found: dict[str, Any] = {}
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        a, b = getattr(real, name), getattr(twin, name)
        both = np.isfinite(a) & np.isfinite(b)
        real_of, twin_of = describe(a[np.isfinite(a)]), describe(b[np.isfinite(b)])
        found[name] = {"unit": "s"} | {stat: _pair(real_of[stat], twin_of[stat]) for stat in STATS}
        positive = both & (a > 0)
        found[name]["mape_frac"] = float(np.mean(np.abs(b[positive] / a[positive] - 1.0))) if positive.any() else None
        found[name]["n"] = {"measured": real_of["n"], "simulated": twin_of["n"]}
    return found


def latencies(result: SimResult, schedule: Sequence[Planned]) -> Latencies:
    """Counted as vLLM counts: from the moment its engine takes a request in, which it does between two steps."""
    log = result.log
    place = {name: i for i, name in enumerate(log.text("request_id").tolist())}
    order = [place[planned.request_id] for planned in schedule]
    sent, first, last, output = (np.asarray(log.floats(name), dtype=float)[order] for name in (
        "sent_ns", "first_token_ns", "last_token_ns", "output_tok"))
    replica = [log.text("replica").tolist()[i] for i in order]
    taken_in = _taken_in(result, sent, replica)
    return _latencies(taken_in / NS_PER_S, first / NS_PER_S, last / NS_PER_S, output)


def _taken_in(result: SimResult, sent: Times, replica: Sequence[Any]) -> Times:
    """The end of the step in progress when a request arrives; the arrival itself when none is."""
    spans: dict[str, tuple[list[int], list[int]]] = {}
    for number, iteration in result.trace or ():
        starts, ends = spans.setdefault(str(number), ([], []))
        starts.append(iteration.start_ns)
        ends.append(iteration.end_ns)
    found = sent.copy()
    for i, (when, where) in enumerate(zip(sent, replica, strict=True)):
        starts, ends = spans.get(str(where), ([], []))
        at = bisect_left(ends, when)
        if at < len(ends) and starts[at] < when:
            found[i] = ends[at]
    return found


def measured(served: Sequence[Served]) -> Latencies:
    queued, first, last, output = (np.array(values, dtype=float) for values in zip(
        *[(item.queued_s, item.first_s, item.last_s, item.output_tok) for item in served], strict=True))
    return _latencies(queued, first, last, output)


def _latencies(queued: Times, first: Times, last: Times, output: Times) -> Latencies:
    more = output > 1
    return Latencies(first - queued, np.where(more, (last - first) / np.where(more, output - 1, 1), np.nan),
                     last - queued)


def _pair(measured: Any, simulated: Any) -> dict[str, float | None]:
    error = simulated / measured - 1.0 if measured and simulated is not None else None
    return {"measured": measured, "simulated": simulated, "rel_error_frac": error}


def timeseries(run: Measured, result: SimResult, schedule: Sequence[Planned]) -> dict[str, Any] | None:
    """Requests running and waiting, and tokens generated per second, averaged over the ticks of the run's own log."""
    if run.timeseries is None:
        return None
    try:
        with run.timeseries.open(encoding="utf-8", newline="") as handle:
            lines = list(csv.DictReader(handle))
        rows = [{key: float(value) for key, value in line.items() if key and value} for line in lines]
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise Failure(f"{run.timeseries.name}: not a table of numbers: {error}") from error
    if not rows or not {"t", "running", "waiting", "gen_throughput"} <= rows[0].keys():
        return None
    log = result.log
    sent, start, last = (np.asarray(log.floats(name), dtype=float) / NS_PER_S for name in (
        "sent_ns", "start_ns", "last_token_ns"))
    ticks = np.array([row["t"] for row in rows])
    running = np.array([((start <= t) & (t < last)).sum() for t in ticks], dtype=float)
    waiting = np.array([((sent <= t) & (t < start)).sum() for t in ticks], dtype=float)
    tokens = sum(planned.asked_output_tok for planned in schedule)
    busy_s = max(item.last_s for item in run.served) - min(item.queued_s for item in run.served)
    return {
        "running_mean": _pair(float(np.mean([row["running"] for row in rows])), float(running.mean())),
        "waiting_mean": _pair(float(np.mean([row["waiting"] for row in rows])), float(waiting.mean())),
        "gen_tok_per_s": _pair(tokens / busy_s, tokens / float(np.nanmax(last))),
        "ticks": len(rows),
    }
