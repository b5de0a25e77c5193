"""One question to the simulator: this fleet, this load, several seeds: how many requests meet the SLO?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sims.overheads import Overheads
from sims.rules import Rules
from sims.run import simulate
from sims.saturation import arrival_rps, saturation_rps, servable
from workbench.economics.unit_cost import Load
from workbench.errors import UsageError
from workbench.metrics import Slo, describe, run_values, values
from workbench.profile.profile import Profile
from workbench.profile.ranges import RangeWatch
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog
from workbench.stats.intervals import Interval, t_interval

APART_NS = 10**13  # hours between requests: each one alone
LATENCIES = ("ttft_s", "tpot_s", "e2e_s")
Schedules = Sequence[Sequence[Planned]]


@dataclass(frozen=True, slots=True)
class Part:
    """One limit of the SLO: which share of the requests keeps it, and what the target's quantile is."""

    name: str
    limit_s: float
    held_frac: float
    at_target_s: float | None  # the target share of the requests is at most this; None where too few ended well

    @property
    def over_frac(self) -> float | None:
        """How far the quantile lies beyond the limit; 0 or less where the limit is kept."""
        return None if self.at_target_s is None else self.at_target_s / self.limit_s - 1


@dataclass(frozen=True)
class Trial:
    """What one fleet did under one load: attainment over the seeds with its interval, and percentiles."""

    replicas: int
    rate_rps: float
    attainment: Interval
    busy_frac: float  # share of time with at least one request in the engine; a batching engine has room at 1.0
    load_frac: float | None  # rate over the most that the replicas complete with everything waiting
    p95: dict[str, float | None]
    target_frac: float
    outside_range: dict[str, Any]  # how often the profile was asked beyond what was measured, and where
    per_seed: tuple[float, ...] = ()  # attainment of each seed
    parts: tuple["Part", ...] = ()  # each limit of the SLO for itself
    running_mean: float = 0.0  # requests in a replica
    cached_frac: float = 0.0  # of the prompt tokens, found in the KV cache

    @property
    def saturated(self) -> bool:
        """The queue grows without end: a finite run that looks good only was not long enough."""
        return self.load_frac is None or self.load_frac >= 1.0

    @property
    def met(self) -> bool:
        """The whole interval reaches the target, and the fleet can keep up."""
        return self.attainment.low >= self.target_frac and not self.saturated

    def as_dict(self) -> dict[str, Any]:
        held = self.attainment
        return {
            "replicas": self.replicas, "rate_rps": self.rate_rps, "met": self.met, "saturated": self.saturated,
            "attainment_frac": {"mean": held.mean, "low": max(0.0, held.low), "high": min(1.0, held.high), "n": held.n},
            "busy_frac": self.busy_frac, "load_frac": self.load_frac, "p95": self.p95,
            "outside_range": self.outside_range,
            "parts": [asdict(part) | {"over_frac": part.over_frac} for part in self.parts],
        }

    @property
    def binding(self) -> Part | None:
        """The limit that fewest requests keep."""
        return min(self.parts, key=lambda part: part.held_frac, default=None)


@dataclass(frozen=True)
class Bench:
    """A candidate on the simulator: profile and rules, the drawn schedules (one a seed), the SLO and its target."""

    profile: Profile
    rules: Rules
    schedules: tuple[tuple[Planned, ...], ...]
    slo: Slo
    target_frac: float
    queue: str = "fcfs"
    router: str = "least_loaded"

    @cached_property
    def load(self) -> Load:
        """What the schedules ask, averaged over the seeds."""
        return load_of(self.schedules)

    def trial(self, replicas: int, rate_rps: float | None = None) -> Trial:
        """Simulate every seed on `replicas`; another rate stretches the same arrivals.

        A fleet that cannot keep up is shown by two seeds only: its answer is no whatever the others say.
        """
        rate_rps = rate_rps or self.load.rate_rps
        load_frac = rate_rps * self.servable_frac / (replicas * self.peak_rps) if self.peak_rps else None
        hopeless = load_frac is None or load_frac >= 1.0
        watch = RangeWatch(self.profile)
        done = [
            simulate(stretched(schedule, self.load.rate_rps / rate_rps), watch, self.rules, replicas=replicas,
                     queue=self.queue, router=self.router, overheads=Overheads.of(self.profile), keep_journal=False)
            for schedule in self.schedules[: 2 if hopeless else None]
        ]
        logs = [item.log for item in done]
        busy_frac = float(np.mean([item.facts["busy_frac"] for item in done]))
        each = [attainment(log, self.slo) for log in logs]
        inside = [run_values(log, {})["concurrency_mean"] or 0.0 for log in logs]
        p95 = {name: _mean([describe(values(log, name))["p95"] for log in logs]) for name in LATENCIES}
        beyond = watch.report() if self.profile.ranges.regions else {"stated": False}
        return Trial(
            replicas, rate_rps, t_interval(np.array(each)), busy_frac, load_frac, p95, self.target_frac, beyond,
            tuple(each), self._parts(logs), float(np.mean(inside)) / replicas, float(np.mean([*map(_cached, logs)])),
        )

    def _parts(self, logs: Sequence[RunLog]) -> tuple[Part, ...]:
        found = []
        for name in LATENCIES:
            limit_s = getattr(self.slo, name)
            if limit_s is None:
                continue
            every = np.concatenate([values(log, name) for log in logs])
            held = float(np.mean([attainment(log, Slo(**{name: limit_s})) for log in logs]))
            at = float(np.quantile(every, self.target_frac)) if len(every) else None
            found.append(Part(name, limit_s, held, at))
        return tuple(found)

    def alone(self) -> float:
        """Share of the first seed's requests that meet the SLO when each has the engine to itself."""
        return attainment(self.alone_log, self.slo)

    def alone_binding(self) -> Part | None:
        """The limit that fewest of them keep."""
        return min(self._parts([self.alone_log]), key=lambda part: part.held_frac, default=None)

    @cached_property
    def alone_log(self) -> RunLog:
        """The first seed's requests, hours apart."""
        apart = [replace(item, intended_ns=i * APART_NS) for i, item in enumerate(self.schedules[0])]
        return simulate(apart, self.profile, self.rules, keep_journal=False).log

    @cached_property
    def servable_frac(self) -> float:
        """Share of the requests that a replica can serve at all; the others are rejected and load nothing."""
        return len(servable(self.schedules[0], self.profile, self.rules)) / len(self.schedules[0])

    @cached_property
    def peak_rps(self) -> float | None:
        """What one replica completes while everything waits: the figure that people divide the load by."""
        return saturation_rps(self.schedules[0], self.profile, self.rules)


def load_of(schedules: Schedules) -> Load:
    """Rate and mean lengths of drawn schedules; a closed loop has no rate and is refused."""
    rates = [arrival_rps(schedule) for schedule in schedules]
    if any(rate is None for rate in rates):
        raise UsageError("plan: workload.arrivals: a plan needs arrival times (poisson, gamma, fixed or a trace)")
    planned = [item for schedule in schedules for item in schedule]
    return Load(
        float(np.mean([rate for rate in rates if rate is not None])),
        float(np.mean([item.asked_prompt_tok for item in planned])),
        float(np.mean([item.asked_output_tok for item in planned])),
    )


def stretched(schedule: Sequence[Planned], factor: float) -> Sequence[Planned]:
    """The same requests at times multiplied by `factor`."""
    if factor == 1.0:
        return schedule
    return [replace(item, intended_ns=round((item.intended_ns or 0) * factor)) for item in schedule]


def attainment(log: RunLog, slo: Slo) -> float:
    """Share of the counted requests that meet every part."""
    found = run_values(log, {"*": slo})["slo_attainment_frac"]
    assert found is not None  # a plan's workload counts at least one request
    return found


def _cached(log: RunLog) -> float:
    counted = log.counted
    asked = float(np.nansum(counted.floats("prompt_tok")))
    return float(np.nansum(counted.floats("cached_tok"))) / asked if asked else 0.0


def _mean(found: Sequence[float | int | None]) -> float | None:
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if len(known) == len(found) and known else None
