"""A day's load against an SLO: how many replicas each part of the day needs, found by simulation.

The day's rates are rounded up to a few levels, each simulated as a steady load on every seed: Poisson arrivals at that
rate for `window_s`. What changes within a part of the day, and what a scale-out takes, is the autoscaler's question
(`workbench.flows.capacity`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sims.scenario import rules_for
from workbench.economics.cost_spec import CostSpec, LoadSpec
from workbench.economics.unit_cost import Load
from workbench.errors import Failure
from workbench.flows.reasons import short_of, unreachable
from workbench.flows.trial import Bench, Trial
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.workload.arrivals import Poisson
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

WARMUP_FRAC = 0.1  # of a window's requests
OnLevel = Callable[[str], None]


@dataclass(frozen=True)
class Level:
    """A rate, and what carries it: the fewest replicas whose whole interval keeps the target, and each seed's own."""

    rate_rps: float
    trial: Trial
    seed_replicas: tuple[int, ...]

    @property
    def replicas(self) -> int:
        return self.trial.replicas


@dataclass(frozen=True)
class Day:
    """Levels by part of the day. `peak_rps`: of one replica with everything waiting."""

    rates_rps: tuple[float, ...]
    levels: tuple[Level, ...]  # one a part of the day; equal levels are the same object
    peak_rps: float
    profile: Profile
    load: Load  # mean rate of the day, mean lengths as drawn

    def replicas(self, seed: int | None = None) -> tuple[int, ...]:
        """Needed in each part: by the plan, or by what one seed would have needed."""
        return tuple(one.replicas if seed is None else one.seed_replicas[seed] for one in self.levels)


def rounded_up(rates_rps: Sequence[float], levels: int) -> list[float]:
    """Each rate, raised to the next of so many evenly spaced levels up to the greatest."""
    top = max(rates_rps)
    return [max(1, math.ceil(rate / top * levels - 1e-9)) * top / levels for rate in rates_rps]


def simulate_day(spec: CostSpec, base: Path, name: str, on_level: OnLevel | None = None) -> Day:
    """Raises Failure where even `max_replicas` do not keep the promise, with the limit that binds."""
    profile = profiles.read(profile_path(spec.serves.profile, base, name, "serves.profile"))
    rates = spec.load.rates_rps()
    raised = rounded_up(rates, spec.levels)
    found: dict[float, Level] = {}
    peak_rps, start = 0.0, 1
    for rate in sorted(set(raised)):
        bench = bench_at(spec, profile, rate, base)
        peak_rps, asked = bench.peak_rps or 0.0, bench.load
        found[rate] = level(bench, rate, start, spec.max_replicas)
        start = found[rate].replicas
        if on_level is not None:
            on_level(f"{rate:.3g} requests/s: {start} replicas")
    mean = replace(asked, rate_rps=sum(rates) / len(rates))
    return Day(rates, tuple(found[rate] for rate in raised), peak_rps, profile, mean)


def bench_at(spec: CostSpec, profile: Profile, rate_rps: float, base: Path) -> Bench:
    schedules = tuple(draw(_workload(spec.load, rate_rps, spec.window_s), seed, base=base) for seed in spec.seeds)
    rules = rules_for(profile, spec.serves.rules, "serves: rules")
    return Bench(profile, rules, schedules, spec.slo.as_slo(), spec.slo.attainment_frac)


def level(bench: Bench, rate_rps: float, start: int, limit: int) -> Level:
    """Upwards from `start`, or from what division says: a load that grew never needs fewer."""
    if bench.alone() < bench.target_frac:
        raise Failure(f"{unreachable(bench)}: loosen the SLO or take another profile")
    least = math.ceil(rate_rps / bench.peak_rps) if bench.peak_rps else 1
    needed: dict[int, int] = {}
    replicas = min(max(1, start, least), limit)
    while True:
        trial = bench.trial(replicas)
        for seed, held in enumerate(trial.per_seed):
            if held >= bench.target_frac and not trial.saturated:
                needed.setdefault(seed, replicas)
        if trial.met:
            each = tuple(needed.get(seed, replicas) for seed in range(len(bench.schedules)))
            return Level(rate_rps, trial, each)
        if replicas >= limit:
            raise Failure(f"{rate_rps:.3g} requests/s: {short_of(trial)} with {limit} replicas; raise max_replicas or "
                          "loosen the SLO")
        replicas += 1


def _workload(load: LoadSpec, rate_rps: float, window_s: float) -> WorkloadSpec:
    n = max(20, round(rate_rps * window_s))
    return WorkloadSpec(
        arrivals=Poisson(rate_per_s=rate_rps), prompt_tok=load.prompt_tok, output_tok=load.output_tok,
        prefix=load.prefix, requests=n, warmup_requests=int(n * WARMUP_FRAC),
    )
