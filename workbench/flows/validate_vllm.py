"""A measured vLLM run against its simulation on kernel tables that never saw it, request for request."""

import csv
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.result import SimResult
from sims.rules import VllmRules
from sims.run import simulate
from workbench.errors import Failure, UsageError
from workbench.flows.vllm_run import NS_PER_S, Limits, Measured, Served, json_lines, read_measured, whole
from workbench.flows.vllm_setup import find_kv_blocks, find_link
from workbench.hardware.model_config import from_config
from workbench.metrics import describe
from workbench.profile.kernels.load import HOST_NS, load
from workbench.profile.kernels.model import Kernels
from workbench.profile.kernels.skew import Skew
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned

SCHEMA = 1
STATS = ("mean", "p50", "p95", "p99")
SCALES = (0.0, 0.5, 1.5, 2.0)  # of the host overhead, for its sensitivity
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds per request, in the order of the schedule. TPOT only of requests with two tokens or more."""

    ttft_s: Times
    tpot_s: Times
    e2e_s: Times


def validate_vllm(
    perf: Path, model_config: Path, workload: Path | None, measured: Path, *, kv_blocks: int | None = None,
    host_us: float | None = None, asked: Mapping[str, Any] | None = None, sensitivity: bool = True,
    ablation: bool = False,
) -> dict[str, Any]:
    """Read the run, simulate it, compare; raises UsageError and Failure."""
    architecture = from_config(model_config)
    run = read_measured(measured, asked, moe=architecture.moe)
    gpu = _gpu(run, perf)
    blocks = find_kv_blocks(run, kv_blocks, architecture, perf.name.split("-")[0], gpu)
    link, link_basis = find_link(run, gpu)
    limits = run.limits
    profile = load(
        perf, model_config, limits.tp, ranks=limits.ranks, expert_parallel=limits.expert_parallel, link=link,
        host_ns=HOST_NS if host_us is None else round(host_us * 1000), graph_tok=limits.graph_tok,
    )
    schedule = _schedule(run, workload)
    rules = rules_of(limits, blocks.usable)
    real = _measured(run.served)
    result, cpu_s = _simulate(schedule, profile, rules, limits)
    twin = latencies(result, schedule)
    host_ns = _kernels(profile).host_ns
    return {
        "kind": "workbench.validation.vllm", "schema": SCHEMA, "subject": profile.subject.model_dump(),
        "profile_source": profile.source, "thin": list(profile.thin), "limits": _plain(limits),
        "kv_blocks": {"value": blocks.reported, "origin": blocks.origin, "basis": blocks.basis},
        "link": link_basis, "host_overhead_us": host_ns / 1000, "requests": len(schedule), "left_out": run.left_out,
        "metrics": compare(real, twin), "iterations": sum(result.iterations), "preemptions": result.preemptions,
        "cached_tok": _cached(result), "busy_frac": result.facts["busy_frac"], "cpu_s": cpu_s,
        "requests_per_cpu_s": len(schedule) / cpu_s if cpu_s else None,
        "timeseries": _timeseries(run, result, schedule),
        "sensitivity": [
            _variant(f"host overhead x {scale:g}", real, schedule, _changed(profile, host_ns=round(host_ns * scale)),
                     rules, limits) for scale in SCALES
        ] if sensitivity else [],
        "ablation": _ablation(real, schedule, profile, rules, limits) if ablation else [],
    }


def rules_of(limits: Limits, usable_blocks: int) -> VllmRules:
    return VllmRules(
        kv_blocks=usable_blocks, block_tok=limits.block_tok, max_num_seqs=limits.max_num_seqs,
        max_num_batched_tokens=limits.max_num_batched_tokens, max_model_len_tok=limits.max_model_len_tok,
        prefix_caching=limits.prefix_caching, async_scheduling=limits.async_scheduling, ranks=limits.ranks,
    )


def compare(real: Latencies, twin: Latencies) -> dict[str, Any]:
    """`ttft_s.mean.{measured, simulated, rel_error_frac}`; `mape_frac` over the requests of both."""
    found: dict[str, Any] = {}
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        a, b = getattr(real, name), getattr(twin, name)
        both = np.isfinite(a) & np.isfinite(b)
        measured, simulated = describe(a[np.isfinite(a)]), describe(b[np.isfinite(b)])
        found[name] = {"unit": "s"} | {stat: _pair(measured[stat], simulated[stat]) for stat in STATS}
        positive = both & (a > 0)
        found[name]["mape_frac"] = float(np.mean(np.abs(b[positive] / a[positive] - 1.0))) if positive.any() else None
        found[name]["n"] = {"measured": measured["n"], "simulated": simulated["n"]}
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


def _measured(served: Sequence[Served]) -> Latencies:
    queued, first, last, output = (np.array(values, dtype=float) for values in zip(
        *[(item.queued_s, item.first_s, item.last_s, item.output_tok) for item in served], strict=True))
    return _latencies(queued, first, last, output)


def _latencies(queued: Times, first: Times, last: Times, output: Times) -> Latencies:
    more = output > 1
    return Latencies(first - queued, np.where(more, (last - first) / np.where(more, output - 1, 1), np.nan),
                     last - queued)


def _schedule(run: Measured, workload: Path | None) -> tuple[Planned, ...]:
    """Requests as they were sent; who shares which prefix is the workload's."""
    prefixes = _prefixes(workload, run.served) if workload is not None else [((), 0)] * len(run.served)
    begin_s = min(item.sent_s for item in run.served)
    found = [
        Planned(f"r{i:06d}", round((item.sent_s - begin_s) * NS_PER_S), item.input_tok, item.output_tok,
                prefix_ids=ids, prefix_tok=size)
        for i, (item, (ids, size)) in enumerate(zip(run.served, prefixes, strict=True))
    ]
    return tuple(found)


def _prefixes(workload: Path, served: Sequence[Served]) -> list[tuple[tuple[int, ...], int]]:
    """Block ids of each measured request: by the number in its id, else in order. Lengths must agree."""
    rows = json_lines(workload)
    numbers = [_number(item.request_id) for item in served]
    known = [number for number in numbers if number is not None and number < len(rows)]
    if len(known) < len(served) or len(set(known)) < len(known):
        known = list(range(len(served)))
    if len(rows) < len(served):
        raise UsageError(f"{workload.name}: {len(rows)} requests, but {len(served)} were measured; it is another workload")
    found = []
    for item, at in zip(served, known, strict=True):
        line, row = rows[at]
        length = whole(workload, line, row, "input_toks")
        if length != item.input_tok:
            raise UsageError(f"{workload.name}: line {line}: input_toks is {length}, request {item.request_id} had "
                             f"{item.input_tok}; it is another workload")
        found.append(_ids(workload, line, row))
    return found


def _ids(workload: Path, line: int, row: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    """`hash_ids_16`: an id per block of 16 tokens; another number, another size."""
    key = next((key for key in row if key.startswith("hash_ids_") and key[9:].isdigit()), None)
    if key is None:
        return (), 0
    ids = row[key]
    if not isinstance(ids, list) or not all(isinstance(value, int) for value in ids):
        raise Failure(f"{workload.name}: line {line}: {key} must be a list of whole numbers")
    return tuple(ids), int(key[9:])


def _number(request_id: str) -> int | None:
    tail = request_id.rsplit("-", 1)[-1]
    return int(tail) if tail.isdigit() else None


def _simulate(
    schedule: Sequence[Planned], profile: Profile, rules: VllmRules, limits: Limits
) -> tuple[SimResult, float]:
    begin_s = time.process_time()
    result = simulate(schedule, profile, rules, replicas=limits.replicas, mode="iteration", keep_iterations=True)
    cpu_s = time.process_time() - begin_s
    outcomes, errors = result.log.text("outcome").tolist(), result.log.text("error").tolist()
    bad = next((error for outcome, error in zip(outcomes, errors, strict=True) if outcome != "ok"), None)
    if bad is not None:
        raise Failure(f"the simulated engine did not serve a request that the real one served: {bad}; check --kv-blocks")
    return result, cpu_s


def _variant(
    name: str, real: Latencies, schedule: Sequence[Planned], profile: Profile, rules: VllmRules, limits: Limits
) -> dict[str, Any]:
    """Errors of the means only."""
    result, _ = _simulate(schedule, profile, rules, limits)
    found = compare(real, latencies(result, schedule))
    return {"variant": name, "host_overhead_us": _kernels(profile).host_ns / 1000} | {
        f"{key}_mean_rel_error_frac": found[key]["mean"]["rel_error_frac"] for key in found}


def _ablation(
    real: Latencies, schedule: Sequence[Planned], profile: Profile, rules: VllmRules, limits: Limits
) -> list[dict[str, Any]]:
    """Each term left out alone, then all of them."""
    plain = _changed(profile, host_ns=0, skew=Skew())
    without = {"prefix_caching": False}, {"async_scheduling": False}, {"prefix_caching": False, "async_scheduling": False}
    cases = (
        ("without skew", _changed(profile, skew=Skew()), rules),
        ("without host overhead", _changed(profile, host_ns=0), rules),
        ("without prefix caching", profile, _ruled(rules, without[0])),
        ("without scheduling ahead", profile, _ruled(rules, without[1])),
        ("without any of them", plain, _ruled(rules, without[2])),
    )
    return [_variant(name, real, schedule, changed, ruled, limits) for name, changed, ruled in cases]


def _ruled(rules: VllmRules, update: Mapping[str, Any]) -> VllmRules:
    from dataclasses import replace

    return replace(rules, **update)


def _changed(profile: Profile, **update: Any) -> Profile:
    return profile.model_copy(update={"model": _kernels(profile).model_copy(update=update)})


def _kernels(profile: Profile) -> Kernels:
    if not isinstance(profile.model, Kernels):
        raise UsageError(f"a profile of kernel tables is needed, not one of kind {profile.model.kind}")
    return profile.model


def _pair(measured: Any, simulated: Any) -> dict[str, float | None]:
    error = simulated / measured - 1.0 if measured and simulated is not None else None
    return {"measured": measured, "simulated": simulated, "rel_error_frac": error}


def _cached(result: SimResult) -> int:
    found = np.asarray(result.log.floats("cached_tok"), dtype=float)
    return int(np.nansum(found))


def _timeseries(run: Measured, result: SimResult, schedule: Sequence[Planned]) -> dict[str, Any] | None:
    """Requests running and waiting, and tokens generated per second, averaged over the ticks of the run's own log."""
    if run.timeseries is None:
        return None
    try:
        with run.timeseries.open(encoding="utf-8", newline="") as handle:
            rows = [{key: float(value) for key, value in row.items() if key and value} for row in csv.DictReader(handle)]
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


def _gpu(run: Measured, perf: Path) -> str:
    from workbench.flows.vllm_run import instances

    named = next((str(part["hardware"]) for part in instances(run.config) if part.get("hardware")), "")
    return named or perf.resolve().parent.parent.parent.name


def _plain(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in limits.__dataclass_fields__}
