"""A measured vLLM run against its simulation on kernel tables that never saw it, request for request."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sims.result import SimResult
from sims.rules import VllmRules
from sims.run import simulate
from workbench.errors import Failure, UsageError
from workbench.flows.vllm_compare import Latencies, compare, latencies, timeseries
from workbench.flows.vllm_compare import measured as measured_of
from workbench.flows.vllm_limits import Limits
from workbench.flows.vllm_run import read_measured
from workbench.flows.vllm_schedule import schedule_of
from workbench.flows.vllm_setup import check_run, find_kv_blocks, find_link, gpu_of
from workbench.hardware.formats import kv_bytes
from workbench.hardware.model_config import from_config
from workbench.profile.kernels.folder import check_folder, check_model
from workbench.profile.kernels.load import HOST_NS, load
from workbench.profile.kernels.model import Kernels
from workbench.profile.kernels.skew import Skew
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned

SCHEMA = 1
SCALES = (0.0, 0.5, 1.5, 2.0)  # of the host overhead, for its sensitivity


def validate_vllm(
    perf: Path, model_config: Path, workload: Path | None, measured: Path, *, kv_blocks: int | None = None,
    host_us: float | None = None, asked: Mapping[str, Any] | None = None, sensitivity: bool = True,
    ablation: bool = False,
) -> dict[str, Any]:
    """Read the run, simulate it, compare; raises UsageError and Failure."""
    perf = perf.absolute()
    architecture = from_config(model_config)
    run = read_measured(measured, asked, moe=architecture.moe)
    check_folder(perf, run.limits.tp)
    check_model(perf, architecture)
    check_run(run, architecture)
    gpu = gpu_of(run, perf.parent.parent.parent.name)
    blocks = find_kv_blocks(run, kv_blocks, architecture, perf.name.split("-")[0], gpu)
    link, link_basis = find_link(run, gpu)
    limits = run.limits
    profile = load(
        perf, model_config, limits.tp, ranks=limits.ranks, expert_parallel=limits.expert_parallel, link=link,
        host_ns=HOST_NS if host_us is None else round(host_us * 1000), graph_tok=limits.graph_tok,
    )
    schedule = schedule_of(run, workload)
    rules = rules_of(limits, blocks.usable)
    real = measured_of(run.served)
    result, cpu_s = _simulate(schedule, profile, rules, limits)
    twin = latencies(result, schedule)
    host_ns = _kernels(profile).host_ns
    return {
        "kind": "workbench.validation.vllm", "schema": SCHEMA, "subject": profile.subject.model_dump(),
        "profile_source": profile.source, "thin": [*profile.thin, *kv_note(perf.name, limits)],
        "limits": _plain(limits),
        "kv_blocks": {"value": blocks.reported, "origin": blocks.origin, "basis": blocks.basis},
        "link": link_basis, "host_overhead_us": host_ns / 1000, "requests": len(schedule), "left_out": run.left_out,
        "left_out_first": run.left_out_first, "outside_profile_range": outside_range(result, profile),
        "metrics": compare(real, twin), "iterations": sum(result.iterations), "preemptions": result.preemptions,
        "cached_tok": _cached(result), "busy_frac": result.facts["busy_frac"], "cpu_s": cpu_s,
        "requests_per_cpu_s": len(schedule) / cpu_s if cpu_s else None,
        "timeseries": timeseries(run, result, schedule),
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


def _simulate(
    schedule: Sequence[Planned], profile: Profile, rules: VllmRules, limits: Limits
) -> tuple[SimResult, float]:
    begin_s = time.process_time()
    result = simulate(schedule, profile, rules, replicas=limits.replicas, mode="iteration", keep_iterations=True)
    cpu_s = time.process_time() - begin_s
    outcomes, errors = result.log.text("outcome").tolist(), result.log.text("error").tolist()
    bad = next((error for outcome, error in zip(outcomes, errors, strict=True) if outcome != "ok"), None)
    if bad is not None:
        remedy = "max_model_len in meta.json" if "tokens of context" in str(bad) else "--kv-blocks"
        raise Failure(f"the simulated engine did not serve what the real one served: {bad}; check {remedy}")
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
    uncached, in_step = replace(rules, prefix_caching=False), replace(rules, async_scheduling=False)
    cases = (
        ("without skew", _changed(profile, skew=Skew()), rules),
        ("without host overhead", _changed(profile, host_ns=0), rules),
        ("without prefix caching", profile, uncached),
        ("without scheduling ahead", profile, in_step),
        ("without any of them", _changed(profile, host_ns=0, skew=Skew()), replace(in_step, prefix_caching=False)),
    )
    return [_variant(name, real, schedule, changed, ruled, limits) for name, changed, ruled in cases]


def _changed(profile: Profile, **update: Any) -> Profile:
    return profile.model_copy(update={"model": _kernels(profile).model_copy(update=update)})


def _kernels(profile: Profile) -> Kernels:
    if not isinstance(profile.model, Kernels):
        raise UsageError(f"a profile of kernel tables is needed, not one of kind {profile.model.kind}")
    return profile.model


def kv_note(variant: str, limits: Limits) -> list[str]:
    """Tables of another KV format carry it in their name, as bf16-kvfp8 does."""
    if kv_bytes(limits.kv_type) == kv_bytes("auto") or "kv" in variant:
        return []
    return [f"attention: the run's KV cache is {limits.kv_type}, the tables {variant} are of a 16-bit one"]


def outside_range(result: SimResult, profile: Profile) -> dict[str, Any]:
    """How many iterations asked the tables for more than they hold, and in which field first; ranks each count."""
    fields: Counter[str] = Counter()
    outside = 0
    trace = result.trace or ()
    for _, iteration in trace:
        found = {what[0] for batch in iteration.batches or (iteration.batch,)
                 if (batch.prefills or batch.decode_n) and (what := profile.ranges.outside(batch)) is not None}
        outside += bool(found)
        fields.update(found)
    return {"iterations": len(trace), "outside": outside, "frac": outside / len(trace) if trace else 0.0,
            "fields": dict(sorted(fields.items()))}


def _cached(result: SimResult) -> int:
    found = np.asarray(result.log.floats("cached_tok"), dtype=float)
    return int(np.nansum(found))


def _plain(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in limits.__dataclass_fields__}
