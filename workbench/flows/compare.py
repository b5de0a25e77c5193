"""`compare`: the same replications of each variant, differences from the first one, simultaneous intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import read_text
from workbench.errors import UsageError
from workbench.flows.comparison import COST, Asked, Effort, OnStage, compared, known, staged
from workbench.flows.executor import OnDone, Where, run
from workbench.flows.plane_policies import control_of
from workbench.flows.replicate import EVERY_TIER, Replication, Task, replicate
from workbench.flows.sim import unstable
from workbench.flows.variants import Variant, refuse_copies, variants
from workbench.metrics import METRICS

COMPARED = (
    "ttft_s.mean", "ttft_s.p95", "tpot_s.mean", "e2e_s.mean", "e2e_s.p95", "output_tok_per_s.value",
    "goodput_rps.value", "slo_attainment_frac.value", "error_frac.value", "cost_usd.value",
)
NARROWED = ("ttft_s.mean", "tpot_s.mean", "e2e_s.mean")  # what --until-half-width looks at
NEEDS_SLO = ("goodput_rps.value", "slo_attainment_frac.value")
KNOWN = {**METRICS, COST.name: COST}


def compare(
    paths: Sequence[Path], policies: Sequence[str] = (), *, effort: Effort | None = None,
    metrics: Sequence[str] = (), where: Where | None = None, on_done: OnDone | None = None,
    on_stage: OnStage | None = None,
) -> dict[str, Any]:
    """The comparison as JSON (docs/statistics.md says its shape). Raises UsageError before any work."""
    effort = effort or Effort()
    with_plane = [control_of(read_text(path), path.name) is not None for path in paths]
    if any(with_plane):
        if not all(with_plane):
            other = paths[with_plane.index(False)].name
            raise UsageError(f"{other}: has no [control] table, the others have: give it one, or compare them apart")
        from workbench.flows.compare_plane import compare_plane

        return compare_plane(paths, policies, effort=effort, metrics=metrics, where=where, on_done=on_done,
                             on_stage=on_stage)
    found = variants(paths, policies)
    for variant in found:
        refuse_copies(variant.case, variant.name)
    asked = _asked(found, metrics)
    schedules = [variant.case.draw(variant.case.scenario.seeds[0]) for variant in found]
    for variant, schedule in zip(found, schedules, strict=True):
        variant.case.refuse_unservable(schedule)
    peaks = [variant.case.saturation_rps(schedule) for variant, schedule in zip(found, schedules, strict=True)]

    def more(n_from: int, n_to: int) -> list[list[Replication]]:
        tasks = [
            Task(variant.case, seed + variant.seed_shift, peak) for variant, peak in zip(found, peaks, strict=True)
            for seed in found[0].case.scenario.replicated(n_to)[n_from:]
        ]
        done = run(replicate, tasks, where, on_done)
        each = n_to - n_from
        return [done[i * each : (i + 1) * each] for i in range(len(found))]

    runs, stages = staged(found, asked, effort, more, on_stage)
    seeds = found[0].case.scenario.replicated(len(runs[0]))
    about = [_about(*item) for item in zip(found, runs, peaks, strict=True)]
    return {**compared(found, runs, asked, effort, stages, seeds), "variants": about}


def _asked(found: Sequence[Variant], metrics: Sequence[str]) -> Asked:
    names = tuple(known(name, KNOWN) for name in metrics) or COMPARED
    if not any(variant.case.scenario.slo for variant in found):
        names = tuple(name for name in names if name not in NEEDS_SLO or name in metrics)
    of_tiers = tuple(name for name in names if not name.startswith(COST.name))
    return Asked(lambda tier: names if tier == EVERY_TIER else of_tiers, KNOWN, names if metrics else NARROWED)


def _about(variant: Variant, runs: Sequence[Replication], peak: float | None) -> dict[str, Any]:
    case = variant.case
    loads = [item.load_frac for item in runs if item.load_frac is not None]
    load = float(np.mean(loads)) if loads else None
    outcomes = {name: sum(item.outcomes[name] for item in runs) for name in runs[0].outcomes}
    return {
        "name": variant.name, "file": case.name, "title": case.scenario.title,
        "paired": variant.paired, "pairing": variant.why,
        "policies": case.scenario.policies.model_dump(), "replicas": case.scenario.fleet.replicas,
        "profile_source": case.profile.source, "profile_sha256": case.profile.sha256, "profile": case.basis,
        "simulation_only": case.simulation_only(case.draw(case.scenario.seeds[0])),
        "saturation_rps": peak, "load_frac": load,
        "warning": unstable(load * peak, peak) if load is not None and peak else None,
        "arrived": sum(outcomes.values()), "outcomes": outcomes,
        "iterations": sum(item.iterations for item in runs), "preemptions": sum(item.preemptions for item in runs),
        "outside_profile_range": sum(item.outside_range for item in runs),
    }
