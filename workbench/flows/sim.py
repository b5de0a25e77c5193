"""`sim run`: a scenario file in; a run log, a journal and a summary per seed out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sims.overheads import Overheads
from sims.result import SimResult
from sims.rules import Rules
from sims.run import simulate
from sims.saturation import arrival_rps, saturation_rps
from sims.scenario import Scenario, rules_for
from workbench import paths
from workbench.config import parse, read_text
from workbench.files import write_json, write_text
from workbench.metrics import summarise
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.profile.ranges import RangeWatch
from workbench.runlog.schema import Planned
from workbench.runlog.table import write
from workbench.stats.intervals import t_interval
from workbench.workload.draw import draw

KIND, SCHEMA = "workbench.simulation", 1
OnSeed = Callable[[int], None]


def run_scenario(
    path: Path, out: Path | None = None, *, seed: int | None = None, on_seed: OnSeed | None = None
) -> dict[str, Any]:
    """Run a scenario file, write `out` (default: runs/sim-UTC/), and return what is written as summary.json."""
    text = read_text(path)
    scenario = parse(Scenario, text, path.name)
    profile = profiles.read(profile_path(scenario.fleet.profile, path.parent, path.name, "fleet.profile"))
    rules = rules_for(profile, scenario.fleet.rules)
    folder = out or paths.stamped("sim")
    paths.refuse_used(folder)
    found = []
    for number in scenario.seeds if seed is None else (seed,):
        if on_seed is not None:
            on_seed(number)
        schedule = draw(scenario.workload, number, base=path.parent)
        found.append(_one(scenario, schedule, profile, rules, number, text, folder))
    summary = _together(scenario, found, profile) | {"out": paths.shown(folder)}
    write_json(folder / "summary.json", summary)
    return summary


def _one(
    scenario: Scenario, schedule: Sequence[Planned], profile: Profile, rules: Rules, seed: int, text: str, folder: Path
) -> dict[str, Any]:
    """One seed: simulate, write log and journal, summarise."""
    fleet, policies, watch = scenario.fleet, scenario.policies, RangeWatch(profile)
    result = simulate(
        schedule, watch, rules, replicas=fleet.replicas, window=policies.window,
        queue=policies.queue.name, queue_with=policies.queue.parameters,
        router=policies.router.name, router_with=policies.router.parameters,
        concurrency=scenario.concurrency, overheads=Overheads.of(profile), seed=seed,
        horizon_ns=None if scenario.horizon_s is None else round(scenario.horizon_s * 1e9),
        price_usd_per_hour=fleet.price_usd_per_hour, about=profile,
        provenance={"config_text": text, "workload": scenario.workload.model_dump(mode="json", exclude_none=True),
                    "gpu": f"{fleet.gpus} per replica" if fleet.gpus else ""},
    )
    write(result.log, folder / f"seed-{seed}.parquet")
    if result.journal is not None:
        write_text(folder / f"seed-{seed}.journal.jsonl", "".join(result.journal.lines()))
    load = _load(schedule, profile, rules, fleet.replicas)
    return summarise(result.log, scenario.slo_by_tier) | {
        "seed": seed, "sim": result.facts | load | _range_facts(watch) | {"cost_usd": _cost_usd(result)},
        "provenance": result.log.provenance.as_dict(),
    }


def _load(schedule: Sequence[Planned], profile: Profile, rules: Rules, replicas: int) -> dict[str, Any]:
    """Arrival rate against the most that the fleet completes with everything waiting."""
    rate, peak = arrival_rps(schedule), saturation_rps(schedule, profile, rules, replicas=replicas)
    frac = rate / peak if rate is not None and peak else None
    return {"arrival_rate_rps": rate, "saturation_rps": peak, "load_frac": frac, "warning": unstable(rate, peak)}


def unstable(rate_rps: float | None, saturation: float | None) -> str | None:
    """One line where the queue grows for as long as requests come; None where it does not."""
    if rate_rps is None or not saturation or rate_rps < saturation:
        return None
    return (f"unstable: arrival rate {rate_rps / saturation:.1f}x the saturation rate ({rate_rps:.3g} against "
            f"{saturation:.3g} requests/s): waits grow with the length of the run, so its averages are not a forecast")


def _range_facts(watch: RangeWatch) -> dict[str, Any]:
    return {"outside_profile_range": {"asked": watch.asked, "outside": dict(watch.outside)}}


def _cost_usd(result: SimResult) -> float | None:
    if result.log.table.column("cost_pusd").null_count:
        return None
    return float(result.log.ints("cost_pusd").sum()) / 1e12


def _together(scenario: Scenario, found: Sequence[Mapping[str, Any]], profile: Profile) -> dict[str, Any]:
    """The JSON of all seeds: means over them, and for each mean its 95 % interval where there are two or more."""
    first = found[0]
    outcomes = {name: sum(item["outcomes"][name] for item in found) for name in first["outcomes"]}
    return {
        "kind": KIND, "schema": SCHEMA, "world": "simulated", "title": scenario.title, "partial": False,
        "basis": {"profile_source": profile.source, "profile_sha256": profile.sha256,
                  "profile_states_range": bool(profile.ranges.regions)},
        "seeds": [item["seed"] for item in found], "requests": sum(item["requests"] for item in found),
        "warmup": sum(item["warmup"] for item in found), "outcomes": outcomes,
        "metrics": {name: _over_seeds(name, [item["metrics"][name] for item in found]) for name in first["metrics"]},
        "sim": first["sim"], "runs": [{k: v for k, v in item.items() if k != "provenance"} for item in found],
        "provenance": first["provenance"],
    }


def _over_seeds(name: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One metric: each statistic averaged over the seeds (n: summed); n/a as soon as one seed cannot know it."""
    merged: dict[str, Any] = {"unit": items[0]["unit"]}
    for stat in items[0]:
        if stat == "unit":
            continue
        values = [item[stat]["simulated"] for item in items]
        if stat == "n":
            merged[stat] = {"simulated": sum(values)}
        elif any(value is None for value in values):
            merged[stat] = {"simulated": None}
        else:
            merged[stat] = {"simulated": float(np.mean(values))} | _interval(name, values)
    return merged


def _interval(name: str, values: Sequence[float]) -> dict[str, float]:
    """95 %, cut to what the metric can be: no metric is negative, a fraction is at most 1."""
    if len(values) < 2:
        return {}
    found = t_interval(np.array(values, dtype=float))
    return {"low": max(0.0, found.low), "high": min(1.0, found.high) if name.endswith("_frac") else found.high}
