"""`compare` of plane scenarios: orders, routers, windows; tiers, fairness and money in one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.flows.comparison import LEVEL, Asked, Effort, OnStage, compared, known, staged, values
from workbench.flows.executor import OnDone, Where, run
from workbench.flows.plane_replicate import (
    KNOWN,
    TENANT,
    PlaneReplication,
    PlaneTask,
    about_case,
    replicate_plane,
)
from workbench.flows.plane_variants import PlaneVariant, plane_variants, weights_of
from workbench.flows.replicate import EVERY_TIER
from workbench.stats.intervals import t_interval

OF_TIERS = ("ttft_s.p95", "slo_attainment_frac.value")
OF_RUNS = ("jain_index.value", "goodput_rps.value", "revenue_usd.value")
OF_TENANTS = ("service_share_frac.value",)
TOLD = ("joint_frac.value", "cost_usd.value")  # beside them, without a verdict: each comparison widens all intervals
NEEDS_SLO = ("slo_attainment_frac.value", "goodput_rps.value")
NARROWED = ("ttft_s.mean", "e2e_s.mean", "revenue_usd.value")  # what --until-half-width looks at
NOTES = {
    "slo_attainment_frac": "every request that arrived counts: who was rejected, shed or came too late missed it",
    "ttft_s": "of requests that ended ok alone: read it beside the attainment",
    "jain_index": "of service / weight over the time in which every tenant had something waiting, and of that alone",
}


def compare_plane(
    paths: Sequence[Path], policies: Sequence[str] = (), *, effort: Effort | None = None,
    metrics: Sequence[str] = (), where: Where | None = None, on_done: OnDone | None = None,
    on_stage: OnStage | None = None,
) -> dict[str, Any]:
    """The comparison as JSON (docs/control/fairness.md says its shape). Raises UsageError before any work."""
    effort = effort or Effort()
    found = plane_variants(paths, policies)
    for variant in found:
        _refuse_copies(variant)
    weights = [weights_of(variant.case) for variant in found]
    asked = _asked(found, metrics)

    def more(n_from: int, n_to: int) -> list[list[PlaneReplication]]:
        tasks = [
            PlaneTask(variant.case, seed + variant.seed_shift, variant.chosen, mine)
            for variant, mine in zip(found, weights, strict=True)
            for seed in found[0].case.scenario.replicated(n_to)[n_from:]
        ]
        done = run(replicate_plane, tasks, where, on_done)
        each = n_to - n_from
        return [done[i * each : (i + 1) * each] for i in range(len(found))]

    runs, stages = staged(found, asked, effort, more, on_stage)
    seeds = found[0].case.scenario.replicated(len(runs[0]))
    return {
        **compared(found, runs, asked, effort, stages, seeds),
        "variants": [_about(*item) for item in zip(found, runs, weights, strict=True)],
        "figures": [row for item in zip(found, runs, strict=True) for row in _figures(*item, asked)],
        "notes": dict(NOTES),
    }


def _refuse_copies(variant: PlaneVariant) -> None:
    first, second = variant.case.scenario.replicated(2)
    if variant.case.draw(first) == variant.case.draw(second):
        raise UsageError(f"{variant.name}: its workload is the same for every seed, so replications say nothing; give "
                         "a trace `arrivals` or `keep_frac` below 1")


def _asked(found: Sequence[PlaneVariant], metrics: Sequence[str]) -> Asked:
    """Of a tier latency and attainment, of a tenant its share, of the run the rest; named ones wherever they are."""
    names = tuple(known(name, KNOWN) for name in metrics)
    if names:
        return Asked(lambda _: names, KNOWN, names)
    without = () if any(variant.case.scenario.slo for variant in found) else NEEDS_SLO
    tiered = len({plan.tier for plan in found[0].case.draw(found[0].case.scenario.seeds[0])}) > 1

    def of(tier: str) -> tuple[str, ...]:
        if tier.startswith(TENANT):
            return OF_TENANTS
        chosen = OF_TIERS if tier != EVERY_TIER else OF_RUNS if tiered else OF_TIERS + OF_RUNS
        return tuple(name for name in chosen if name not in without)

    return Asked(of, KNOWN, NARROWED)


def _figures(variant: PlaneVariant, runs: Sequence[PlaneReplication], asked: Asked) -> list[dict[str, Any]]:
    """Each figure of a variant with its own 95 % interval; where a replication has none, how many had."""
    rows = []
    for tier in [name for name in runs[0].figures if all(name in item.figures for item in runs)]:
        names = dict.fromkeys((*asked.names(tier), *(TOLD if tier == EVERY_TIER else ())))
        for name in names:
            if not any(name in item.figures[tier] for item in runs):
                continue
            mine = values(runs, tier, name)
            ends = None if mine is None else t_interval(mine, LEVEL)
            rows.append({
                "variant": variant.name, "tier": tier, **asked.declared(name),
                "label": KNOWN[name.partition(".")[0]].label,
                "mean": ends and ends.mean, "low": ends and ends.low, "high": ends and ends.high, "n": len(runs),
                "missing": sum(item.figures[tier].get(name) is None for item in runs),
            })
    return rows


def _about(variant: PlaneVariant, runs: Sequence[PlaneReplication], weights: dict[str, int]) -> dict[str, Any]:
    case, control = variant.case, variant.case.scenario.control
    outcomes = {name: sum(item.outcomes[name] for item in runs) for name in runs[0].outcomes}
    return {
        "name": variant.name, "file": variant.file, "title": case.scenario.title, "paired": variant.paired,
        "pairing": variant.why, "policies": {key: control.get(key) for key in ("scheduling", "routing", "window")},
        "custom": dict(control.get("custom", {})), "weights": weights, "replicas": case.scenario.fleet.replicas,
        **about_case(case), "arrived": sum(outcomes.values()), "outcomes": outcomes,
        "answered": sum(item.answered for item in runs), "unpriced": sum(item.unpriced for item in runs),
        "iterations": sum(item.iterations for item in runs),
    }
