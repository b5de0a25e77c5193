"""Autoscalers against a fixed fleet on one day: the control plane in simulated time, cold starts included."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sims.plane.run import simulate_plane
from sims.rules import DisaggregatedRules
from workbench.control.plane.build import plane_of
from workbench.economics.capacity_spec import CapacitySpec, ScalerSpec
from workbench.errors import UsageError
from workbench.flows.trial import Bench, attainment
from workbench.stats.intervals import t_interval
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec
from workbench.workload.varying import Hourly

NS = 1_000_000_000


def check(spec: CapacitySpec) -> None:
    """Every policy by name and parameters, before any work. Raises UsageError."""
    for one in spec.scaler:
        try:
            plane_of(_facts(one, max(one.least, 2), 1))
        except (TypeError, ValueError) as error:
            raise UsageError(f"scaler {one.name!r}: {error}") from None


def compare(spec: CapacitySpec, bench: Bench, fixed: int, base: Path) -> list[dict[str, Any]]:
    """The fixed fleet first, then each autoscaler with at most as many replicas and the spare ones.

    A replica counts as fully used when it holds what each replica of the fixed fleet holds at the peak.
    """
    slots = max(1, math.ceil(bench.trial(fixed).running_mean))
    days = [draw(_day(spec), seed, base=base) for seed in spec.seeds]
    most = fixed + spec.serves.spare_replicas
    cases: list[tuple[str, Mapping[str, Any]]] = [(f"fixed at {fixed}", {"replicas": fixed})]
    cases += [(one.name, _facts(one, most, slots)) for one in spec.scaler]
    return [_row(name, facts, spec, replace(bench, schedules=tuple(days))) for name, facts in cases]


def _day(spec: CapacitySpec) -> WorkloadSpec:
    load = spec.load
    arrivals = Hourly(rate_per_s=load.mean_rate_per_s, weights=load.weights, period_s=spec.day_s)
    return WorkloadSpec(arrivals=arrivals, prompt_tok=load.prompt_tok, output_tok=load.output_tok, prefix=load.prefix,
                        duration_s=spec.day_s)


def _facts(one: ScalerSpec, most: int, slots: int) -> dict[str, Any]:
    if one.least > most:
        raise UsageError(f"scaler {one.name!r}: least: {one.least} is more than the {most} replicas there may be")
    return {
        "replicas": [{} if i < one.least else {"started": False} for i in range(most)],
        "autoscale": {"policy": one.policy, "every_ns": round(one.every_s * NS), "in_ns": round(one.in_s * NS),
                      "least": one.least, "most": most, "slots": slots},
    }


def _row(name: str, facts: Mapping[str, Any], spec: CapacitySpec, bench: Bench) -> dict[str, Any]:
    held, hours, starts = [], [], []
    if isinstance(bench.rules, DisaggregatedRules):
        raise UsageError("scaler: a disaggregated engine is not scaled here")
    for seed, schedule in zip(spec.seeds, bench.schedules, strict=True):
        done = simulate_plane(schedule, bench.profile, bench.rules, facts, seed=seed, keep_journal=False,
                              start_ns=round(spec.serves.cold_start_s * NS))
        held.append(attainment(done.log, bench.slo))
        hours.append(sum(done.replica_ns) / done.stop_ns)
        starts.append(len(done.starts))
    share, mean = t_interval(np.array(held)), t_interval(np.array(hours))
    return {"name": name, "met": share.low >= bench.target_frac,
            "attainment_frac": {"mean": share.mean, "low": share.low, "high": share.high, "n": share.n},
            "replicas_mean": {"mean": mean.mean, "low": mean.low, "high": mean.high, "n": mean.n},
            "starts_mean": float(np.mean(starts))}
