"""What may make a point's figures mean something else: cache hits, preemptions, drift, a hampered GPU, the client,
other work on the machine."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.bench.telemetry import gpu_warnings
from workbench.runlog.table import RunLog
from workbench.stats.trend import trend
from workbench.stats.warmup import mser5

UNASKED_HIT_FRAC = 0.01  # of prompt tokens: more was in the cache than a salted workload explains
SATURATED_DRAIN_FRAC = 0.2  # answers go on for so much of the sending time after the last request was due ...
SATURATED_DRAIN_ANSWERS = 3.0  # ... and for so many times what an early answer took
OTHERS_FRAC = 0.25  # of all cores, busy with neither engine nor client; quiet, 2 cores: under 0.13 (kernel, telemetry)

Floats = NDArray[np.float64]


def guards(
    log: RunLog, before: Mapping[str, float], after: Mapping[str, float], telemetry: Mapping[str, Any], *,
    shares_prefix: bool, turns: bool = False,
) -> dict[str, Any]:
    """Each guard's figures (null: not told) and, in `warnings`, in words what is not as it should be."""
    counted = log.counted
    hits, steady = _prefix(log, before, after), _steady(counted)
    preempted = _delta(before, after, "preemptions")
    on_gpu = gpu_warnings(telemetry) if telemetry["gpus"] else None
    others = others_frac(telemetry, float(log.provenance.client.get("cpu_frac") or 0.0), os.cpu_count() or 1)
    bad = sum(n for name, n in counted.outcomes().items() if name != "ok")
    warnings = list(on_gpu or ())
    if hits["hit_frac"] is not None and hits["hit_frac"] > UNASKED_HIT_FRAC and not shares_prefix:
        warnings.append(f"{hits['hit_frac']:.1%} of prompt tokens came from a cache that nobody asked for")
    if preempted:
        warnings.append(f"{preempted:.0f} preemptions: the KV cache was full")
    if steady["steady"] is False:
        warnings.append(f"not steady: {steady['why']}")
    if others is not None and others > OTHERS_FRAC:
        warnings.append(f"other programs kept {others:.0%} of the machine's cores busy")
    if bad:
        warnings.append(f"{bad} of {len(counted)} requests did not end ok")
    if log.provenance.client.get("client_limited"):
        warnings += [f"client_limited: {reason}" for reason in log.provenance.client.get("reasons", ["unknown"])]
    return {
        "prefix": hits | {"shared_on_purpose": shares_prefix}, "preemptions": preempted, "steady": steady,
        "gpu": on_gpu, "others_frac": others, "saturated": None if turns else saturated(log), "not_ok": bad,
        "warnings": warnings,
    }


def others_frac(telemetry: Mapping[str, Any], client_cores: float, cores: int) -> float | None:
    """Share of all cores that was busy with neither the engine nor the load generator; None where one is not known."""
    busy, used_s = telemetry.get("cpu_busy_frac"), telemetry.get("engine_cpu_s")
    samples, window_s = telemetry.get("samples") or 0, telemetry.get("window_s") or 0.0
    if busy is None or used_s is None or samples < 2 or window_s <= 0:
        return None
    engine_cores = float(used_s) * samples / (samples - 1) / window_s  # n samples have n - 1 gaps
    return max(0.0, float(busy) - (engine_cores + client_cores) / cores)


def disturbed(row: Mapping[str, Any]) -> bool:
    """Whether other work ran beside a point, so that it may be measured again."""
    others = (row.get("guards") or {}).get("others_frac")
    return others is not None and others > OTHERS_FRAC


def _delta(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float | None:
    """What a counter of the engine gained; None where it does not tell it."""
    return after[name] - before[name] if name in before and name in after else None


def _prefix(log: RunLog, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    """Share of prompt tokens found in the prefix cache: by the answers' usage, else by the engine's counters."""
    cached, prompt = log.ok.floats("cached_tok"), log.ok.floats("prompt_tok")
    known = ~np.isnan(cached) & ~np.isnan(prompt)
    if known.any() and prompt[known].sum() > 0:
        return {"hit_frac": float(cached[known].sum() / prompt[known].sum()), "via": "usage"}
    hits, asked = _delta(before, after, "prefix_hits_tok"), _delta(before, after, "prefix_queries_tok")
    if hits is None or asked is None:  # engines differ in whether a cached token is a prompt token: ours are counted
        hits, asked = _delta(before, after, "cached_tok"), float(np.nansum(prompt))
    return {"hit_frac": hits / asked, "via": "/metrics"} if hits is not None and asked else {
        "hit_frac": None, "via": None}


def _in_order(log: RunLog) -> Floats:
    """Seconds from send to last token, in the order of sending."""
    sent, last = log.ok.floats("sent_ns"), log.ok.floats("last_token_ns")
    known = ~np.isnan(sent) & ~np.isnan(last)
    order = np.argsort(sent[known], kind="stable")
    return np.asarray((last[known] - sent[known])[order] * 1e-9, dtype=np.float64)


def _steady(log: RunLog) -> dict[str, Any]:
    """No drift from beginning to end, and (MSER-5) no long warm-up within; null where too few requests tell."""
    times_s = _in_order(log)
    line, cut = trend(times_s), mser5(times_s)
    found: dict[str, Any] = {"change_frac": line.change_frac, "p": line.p, "warmup_cut": cut.cut, "n": line.n}
    drifts = line.drifts()
    if drifts is None:
        return found | {"steady": None, "why": line.why_not}
    if drifts:
        return found | {"steady": False, "why": f"e2e_s changed by {line.change_frac:+.0%} over the run"}
    return found | {"steady": True, "why": None}


def saturated(log: RunLog) -> bool | None:
    """Whether an open loop asked for more than was served: answers pile up. None for a closed loop."""
    intended, end, sent = log.floats("intended_ns"), log.floats("end_ns"), log.floats("sent_ns")
    if np.isnan(intended).all() or np.isnan(end).all():
        return None
    span_ns = float(np.nanmax(intended) - np.nanmin(intended))
    drain_ns = float(np.nanmax(end) - np.nanmax(intended))
    took = (end - sent)[~np.isnan(end - sent)]
    early_ns = float(np.median(took[: max(1, len(took) // 4)])) if len(took) else 0.0
    return drain_ns > SATURATED_DRAIN_FRAC * span_ns and drain_ns > SATURATED_DRAIN_ANSWERS * early_ns
