"""`sim sweep`: the same scenario at many arrival rates, and where it stops keeping its promise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sims.scenario import Scenario
from workbench.errors import UsageError
from workbench.flows.executor import OnDone, Where, run
from workbench.flows.replicate import EVERY_TIER, Case, Replication, Task, replicate
from workbench.flows.variants import refuse_copies
from workbench.metrics import METRICS
from workbench.stats.intervals import Interval, t_interval
from workbench.stats.knee import bend, crossing
from workbench.workload import rated

KIND, SCHEMA = "workbench.sweep", 1
LOADS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
SHOWN = (
    "ttft_s.mean", "ttft_s.p95", "tpot_s.mean", "tpot_s.p95", "e2e_s.mean", "e2e_s.p95", "output_tok_per_s.value",
    "request_rate_rps.value", "goodput_rps.value", "slo_attainment_frac.value",
)
ATTAINED, BENT = "slo_attainment_frac.value", "ttft_s.mean"


@dataclass(frozen=True, slots=True)
class Point:
    """One arrival rate and its replications; the load is that of the servable requests."""

    load_frac: float
    rate_rps: float
    runs: tuple[Replication, ...]

    def values(self, name: str) -> list[float] | None:
        """One a replication; None where one of them cannot know it."""
        found = [run.figures[EVERY_TIER].get(name) for run in self.runs]
        known = [value for value in found if value is not None]
        return known if len(known) == len(found) else None

    def interval(self, name: str) -> Interval | None:
        found = self.values(name)
        return None if found is None else t_interval(np.array(found, dtype=float))

    def as_dict(self) -> dict[str, Any]:
        figures = {name: _json(self.interval(name), name) for name in SHOWN}
        outcomes = {name: sum(item.outcomes[name] for item in self.runs) for name in self.runs[0].outcomes}
        return {
            "load_frac": self.load_frac, "rate_rps": self.rate_rps, "unstable": self.load_frac >= 1.0,
            "figures": figures, "arrived": sum(outcomes.values()), "outcomes": outcomes,
            "iterations": sum(item.iterations for item in self.runs),
            "outside_profile_range": sum(item.outside_range for item in self.runs),
        }


def sweep(
    path: Path, *, loads: Sequence[float] = (), rates: Sequence[float] = (), replications: int = 5,
    target_frac: float = 0.99, where: Where | None = None, on_done: OnDone | None = None,
) -> dict[str, Any]:
    """Replications at `loads` (fractions of the saturation rate) or at `rates` (requests/s); one of the two.

    Every rate stretches the same arrivals, so the points of one seed differ in nothing else.
    """
    if loads and rates:
        raise UsageError("give --load or --rates, not both")
    if replications < 2:
        raise UsageError(f"--replications {replications}: at least 2, else a point has no interval")
    if not 0 < target_frac <= 1:
        raise UsageError(f"--target {target_frac}: a share above 0, at most 100 %")
    case = Case.load(path)
    if case.scenario.concurrency is not None:
        raise UsageError(f"{path.name}: closed arrivals have no rate to sweep; give poisson, gamma, fixed or a trace")
    refuse_copies(case, path.name)
    schedule = case.draw(case.scenario.seeds[0])
    case.refuse_unservable(schedule)
    share = len(case.servable(schedule)) / len(schedule)
    each = len(schedule) / sum(not item.after for item in schedule)  # turns of a session in the mean, else 1
    peak = case.saturation_rps(schedule)
    if peak is None:
        raise UsageError(f"{path.name}: no time passes between its requests' ends, so there is no saturation rate")
    grid = sorted(set(rates)) or [load * peak / share / each for load in sorted(set(loads or LOADS))]
    seeds = case.scenario.replicated(replications)
    cases = [replace(case, scenario=at_rate(case.scenario, rate)) for rate in grid]
    done = run(replicate, [Task(one, seed, peak) for one in cases for seed in seeds], where, on_done)
    points = [
        Point(rate * each * share / peak, rate, tuple(done[i * len(seeds) : (i + 1) * len(seeds)]))
        for i, rate in enumerate(grid)
    ]
    return {
        "kind": KIND, "schema": SCHEMA, "origin": "simulated", "title": case.scenario.title, "file": path.name,
        "profile_source": case.profile.source, "profile_sha256": case.profile.sha256,
        "replicas": case.scenario.fleet.replicas, "seeds": list(seeds), "saturation_rps": peak,
        "servable_frac": share, "simulation_only": case.simulation_only(schedule),
        "slo": {tier: item.model_dump(exclude_none=True) for tier, item in case.scenario.slo.items()},
        "points": [point.as_dict() for point in points],
        "knee": {"slo": slo_knee(points, target_frac, bool(case.scenario.slo)), "bend": bend_knee(points)},
    }


def at_rate(scenario: Scenario, rate_rps: float) -> Scenario:
    """The same requests, arriving at another rate; of sessions, so many begin in a second."""
    return scenario.model_copy(update={"workload": rated.at_rate(scenario.workload, rate_rps)})


def slo_knee(points: Sequence[Point], target_frac: float, asked: bool) -> dict[str, Any]:
    """The load at which attainment leaves the target: found in each replication, then a mean with its interval.

    `highest_met` is the last load of the grid up to which every interval of the attainment reaches the target.
    """
    about: dict[str, Any] = {
        "rule": f"the load at which the share of requests inside the SLO falls below {target_frac:.4g}, straight "
                "between the loads tried, in each replication",
        "target_frac": target_frac, "load_frac": None, "rate_rps": None, "highest_met": None, "why_not": None,
    }
    if not asked:
        return about | {"why_not": "the scenario has no [slo]"}
    series = [point.values(ATTAINED) for point in points]
    x = [point.load_frac for point in points]
    known = [values for values in series if values is not None]
    if len(known) < len(series):
        return about | {"why_not": "attainment is not known at every load"}
    for point in points:
        held = point.interval(ATTAINED)
        if held is None or held.low < target_frac:
            break
        about["highest_met"] = {"load_frac": point.load_frac, "rate_rps": point.rate_rps}
    found = [crossing(x, [values[k] for values in known], target_frac) for k in range(len(known[0]))]
    inside = [value for value in found if not isinstance(value, str)]
    if len(inside) < len(found):
        sides = sorted({value for value in found if isinstance(value, str)})
        return about | {"why_not": f"{' and '.join(sides)} load tried, in {len(found) - len(inside)} of {len(found)} "
                                   "replications"}
    return about | _over(inside, points)


def bend_knee(points: Sequence[Point]) -> dict[str, Any]:
    """Where mean TTFT bends most, over the loads below saturation; beyond it TTFT is the run's length."""
    about: dict[str, Any] = {
        "rule": f"the load below saturation at which {BENT.partition('.')[0]} lies farthest below the straight line "
                "between its ends (Kneedle), in each replication",
        "load_frac": None, "rate_rps": None, "why_not": None,
    }
    stable = [point for point in points if point.load_frac < 1.0]
    series = [point.values(BENT) for point in stable]
    known = [values for values in series if values is not None]
    if len(known) < max(4, len(series)):
        return about | {"why_not": "needs four loads below saturation with a known TTFT"}
    x = [point.load_frac for point in stable]
    found = [bend(x, [values[k] for values in known]) for k in range(len(known[0]))]
    inside = [value for value in found if value is not None]
    if len(inside) < len(found):
        return about | {"why_not": f"TTFT does not bend upwards in {len(found) - len(inside)} of {len(found)} "
                                   "replications"}
    return about | _over(inside, points)


def _over(found: Sequence[float], points: Sequence[Point]) -> dict[str, Any]:
    """Mean and interval of the load, kept inside the grid, and the same as rates."""
    low, high = points[0].load_frac, points[-1].load_frac
    ends = t_interval(np.array(found))
    load = {"mean": ends.mean, "low": max(low, ends.low), "high": min(high, ends.high), "n": ends.n}
    per = points[0].rate_rps / points[0].load_frac
    return {"load_frac": load, "rate_rps": {key: load[key] * per for key in ("mean", "low", "high")} | {"n": ends.n}}


def _json(found: Interval | None, name: str) -> dict[str, Any] | None:
    """Cut to what the metric can be; None where a replication cannot know it."""
    if found is None:
        return None
    share = name.partition(".")[0].endswith("_frac")
    return {"unit": METRICS[name.partition(".")[0]].unit, "mean": found.mean, "low": max(0.0, found.low),
            "high": min(1.0, found.high) if share else found.high, "n": found.n}
