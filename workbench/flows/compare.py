"""`compare`: the same replications of each variant, differences from the first one, simultaneous intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.flows.executor import OnDone, Where, run
from workbench.flows.replicate import EVERY_TIER, Replication, Task, replicate
from workbench.flows.sim import unstable
from workbench.flows.variants import Variant, refuse_copies, variants
from workbench.metrics import METRICS, Metric
from workbench.stats import two_stage
from workbench.stats.estimate import Estimate, independent, paired
from workbench.stats.simultaneous import Simultaneous, each_level, simultaneous

KIND, SCHEMA, LEVEL = "workbench.comparison", 1, 0.95
FIRST_STAGE = 10
COMPARED = (
    "ttft_s.mean", "ttft_s.p95", "tpot_s.mean", "e2e_s.mean", "e2e_s.p95", "output_tok_per_s.value",
    "goodput_rps.value", "slo_attainment_frac.value", "error_frac.value", "cost_usd.value",
)
NARROWED = ("ttft_s.mean", "tpot_s.mean", "e2e_s.mean")  # what --until-half-width looks at
NEEDS_SLO = ("goodput_rps.value", "slo_attainment_frac.value")
COST = Metric("cost_usd", "USD", "lower", "cost of the fleet over the run", "replicas x price x duration")
OnStage = Callable[[str], None]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effort:
    """How many replications: a number, or as many as `half_width_frac` of the baseline's means needs, up to `most`."""

    replications: int = FIRST_STAGE
    half_width_frac: float | None = None
    most: int = 200

    def __post_init__(self) -> None:
        if self.replications < 2:
            raise UsageError(f"--replications {self.replications}: at least 2, else a comparison has no interval")
        if self.half_width_frac is not None and not 0 < self.half_width_frac < 1:
            raise UsageError(f"--until-half-width {self.half_width_frac:.3g}: between 0 and 100 %, such as 5%")
        if self.half_width_frac is not None and self.most < self.replications:
            raise UsageError(f"--max-replications {self.most} is below the first stage's {self.replications}")


def compare(
    paths: Sequence[Path], policies: Sequence[str] = (), *, effort: Effort | None = None,
    metrics: Sequence[str] = (), where: Where | None = None, on_done: OnDone | None = None,
    on_stage: OnStage | None = None,
) -> dict[str, Any]:
    """The comparison as JSON (docs/statistics.md says its shape). Raises UsageError before any work."""
    effort = effort or Effort()
    asked = tuple(_known(name) for name in metrics) or COMPARED
    found = variants(paths, policies)
    for variant in found:
        refuse_copies(variant.case, variant.name)
    if not any(variant.case.scenario.slo for variant in found):
        asked = tuple(name for name in asked if name not in NEEDS_SLO or name in metrics)
    schedules = [variant.case.draw(variant.case.scenario.seeds[0]) for variant in found]
    for variant, schedule in zip(found, schedules, strict=True):
        variant.case.refuse_unservable(schedule)
    peaks = [variant.case.saturation_rps(schedule) for variant, schedule in zip(found, schedules, strict=True)]

    def more(n_from: int, n_to: int) -> list[list[Replication]]:
        tasks = [
            Task(variant.case, seed + variant.seed_shift, peak) for variant, peak in zip(found, peaks, strict=True)
            for seed in _seeds(found[0], n_to)[n_from:]
        ]
        done = run(replicate, tasks, where, on_done)
        each = n_to - n_from
        return [done[i * each : (i + 1) * each] for i in range(len(found))]

    runs = more(0, effort.replications)
    total, stages = effort.replications, None
    if effort.half_width_frac is not None:
        level = each_level(len(_comparisons(found, runs, asked, None)[0]), LEVEL)
        stages = _second_stage(found, runs, effort, asked if metrics else NARROWED, level)
        total = stages["replications"]
        if total > effort.replications:
            if on_stage is not None:
                on_stage(f"second stage: {total} replications in all")
            runs = [a + b for a, b in zip(runs, more(effort.replications, total), strict=True)]
    first = None if stages is None else effort.replications
    rows, left_out = _comparisons(found, runs, asked, first)
    base = found[0]
    return {
        "kind": KIND, "schema": SCHEMA, "origin": "simulated", "level": LEVEL, "baseline": base.name,
        "variants": [_about(*item) for item in zip(found, runs, peaks, strict=True)],
        "replications": {"n": total, "seeds": list(_seeds(base, total)), "two_stage": stages},
        "method": {"interval": _method(first),
                   "simultaneous": f"Bonferroni over {len(rows)} comparisons: all intervals hold together",
                   "verdict": "better or worse where the simultaneous interval leaves out zero"},
        "comparisons": rows, "not_compared": left_out,
    }


def _method(first: int | None) -> str:
    if first is None:
        return "Student t over replications; paired where `paired`, else Welch"
    return (f"Stein's two stages: mean over all replications, spread and degrees of freedom of the first {first}; runs "
            "that do not pair by the differences of equally numbered ones")


def _known(name: str) -> str:
    """`ttft_s` means its mean, a metric of a run its value."""
    metric, _, stat = name.partition(".")
    if metric not in METRICS and metric != COST.name:
        raise UsageError(f"--metric {name}: unknown; known: {', '.join([*METRICS, COST.name])}")
    of_request = metric != COST.name and METRICS[metric].per_request is not None
    stats = ("mean", "p50", "p95", "p99", "max") if of_request else ("value",)
    if stat and stat not in stats:
        raise UsageError(f"--metric {name}: {metric} has {', '.join(stats)}")
    return f"{metric}.{stat or stats[0]}"


def _seeds(base: Variant, n: int) -> tuple[int, ...]:
    return base.case.scenario.replicated(n)


def _second_stage(
    found: Sequence[Variant], runs: Sequence[Sequence[Replication]], effort: Effort, names: Sequence[str],
    level: float,
) -> dict[str, Any]:
    """How many replications the widest of the named differences needs, for its interval at the level shown."""
    assert effort.half_width_frac is not None
    needs: dict[str, int] = {}
    for variant, mine in zip(found[1:], runs[1:], strict=True):
        for name in names:
            a, b = _values(runs[0], EVERY_TIER, name), _values(mine, EVERY_TIER, name)
            if a is None or b is None or not np.mean(a):
                continue
            # unpaired: the difference of equally numbered replications is one of independent values all the same
            target = effort.half_width_frac * abs(float(np.mean(a)))
            needs[f"{variant.name}: {name}"] = two_stage.needed(b - a, target, level)
    if not needs:
        raise UsageError(f"--until-half-width: none of {', '.join(names)} is known in every replication")
    wanted = max(needs.values())
    return {
        "first": effort.replications, "half_width_frac": effort.half_width_frac, "metrics": list(names),
        "level": level, "needed": wanted, "needed_by": max(needs, key=lambda key: needs[key]),
        "replications": min(wanted, effort.most), "reached": wanted <= effort.most,
    }


def _comparisons(
    found: Sequence[Variant], runs: Sequence[Sequence[Replication]], names: Sequence[str], first: int | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows with their intervals, what could not be compared and why)."""
    kept: list[tuple[dict[str, Any], Estimate]] = []
    left_out: list[dict[str, Any]] = []
    base = runs[0]
    for variant, mine in zip(found[1:], runs[1:], strict=True):
        for tier in dict.fromkeys([*base[0].figures, *mine[0].figures]):
            for name in names:
                if tier != EVERY_TIER and name.startswith(COST.name):
                    continue
                a, b = _values(base, tier, name), _values(mine, tier, name)
                head = {"variant": variant.name, "tier": tier, **_declared(name)}
                if a is None or b is None:
                    if not (name.startswith(COST.name) and a is None and b is None):  # no price: nobody asked
                        left_out.append(head | {"why": _unknown(base, mine, tier, name)})
                    continue
                estimate = _estimate(a, b, variant, first)
                mean = float(np.mean(a))
                kept.append((head | {
                    "paired": variant.paired, "baseline_mean": mean, "variant_mean": float(np.mean(b)),
                    "difference": estimate.mean, "rel_difference_frac": estimate.mean / mean if mean else None,
                }, estimate))
    family = simultaneous([estimate for _, estimate in kept], LEVEL)
    return [_row(head, estimate, item) for (head, estimate), item in zip(kept, family, strict=True)], left_out


def _estimate(a: Floats, b: Floats, variant: Variant, first: int | None) -> Estimate:
    if first is not None:
        return two_stage.estimate(b - a, first)
    return paired(a, b) if variant.paired else independent(a, b)


def _row(head: dict[str, Any], estimate: Estimate, item: Simultaneous) -> dict[str, Any]:
    alone, together = estimate.interval(LEVEL), item.interval
    return head | {
        "low": alone.low, "high": alone.high, "p": estimate.p, "n": estimate.n,
        "simultaneous": {"low": together.low, "high": together.high, "level": item.level, "p": item.p,
                         "p_holm": item.p_holm},
        "verdict": verdict(head["better"], item),
    }


def verdict(better: str, item: Simultaneous) -> str:
    """`different` only where the simultaneous interval of the difference leaves out zero."""
    if not item.different:
        return "no difference shown"
    way = "higher" if item.interval.mean > 0 else "lower"
    return way if not better else ("better" if way == better else "worse")


def _values(runs: Sequence[Replication], tier: str, name: str) -> Floats | None:
    """One value a replication; None where one of them cannot know it."""
    found = [item.figures.get(tier, {}).get(name) for item in runs]
    known = [value for value in found if value is not None]
    return np.array(known, dtype=np.float64) if len(known) == len(found) else None


def _unknown(base: Sequence[Replication], mine: Sequence[Replication], tier: str, name: str) -> str:
    missing = sum(item.figures.get(tier, {}).get(name) is None for item in (*base, *mine))
    return f"n/a in {missing} of {len(base) + len(mine)} runs: too few requests for it, or none that has it"


def _declared(name: str) -> dict[str, str]:
    metric, _, stat = name.partition(".")
    known = COST if metric == COST.name else METRICS[metric]
    return {"metric": metric, "stat": stat, "unit": known.unit, "better": known.better}


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
