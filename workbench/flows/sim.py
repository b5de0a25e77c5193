"""`sim run`: a scenario file in; a run log, a journal and a summary per seed out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sims.saturation import arrival_rps
from workbench import paths
from workbench.errors import Failure
from workbench.files import write_json, write_text
from workbench.flows.executor import OnDone, Where, run
from workbench.flows.replicate import EVERY_TIER, Case, Task, by_tier, cost_usd, warmup_found
from workbench.metrics import arrived
from workbench.profile import profile as profiles
from workbench.runlog.table import RunLog, write
from workbench.stats.intervals import t_interval

KIND, SCHEMA = "workbench.simulation", 1
OnNote = Callable[[str], None]


@dataclass(frozen=True)
class SeedRun:
    """One seed as it comes back from where it ran; the files are written here."""

    log: RunLog
    journal: tuple[str, ...] | None
    summary: dict[str, Any]


def run_scenario(
    path: Path, out: Path | None = None, *, seed: int | None = None, replications: int | None = None,
    where: Where | None = None, on_done: OnDone | None = None, on_note: OnNote | None = None,
) -> dict[str, Any]:
    """Run a scenario file, write `out` (default: runs/sim-UTC/), and return what is written as summary.json.

    A load beyond saturation is said to `on_note` before anything long begins.
    """
    case = Case.load(path)
    folder = out or paths.stamped("sim")
    paths.refuse_used(folder)
    seeds = case.scenario.replicated(replications) if seed is None else (seed,)
    schedule = case.draw(seeds[0])
    case.refuse_unservable(schedule)
    peak = case.saturation_rps(schedule)
    warning = unstable(arrival_rps(case.servable(schedule)), peak)
    if warning is not None and on_note is not None:
        on_note(warning)
    found = run(run_seed, [Task(case, number, peak) for number in seeds], where, on_done)
    for number, item in zip(seeds, found, strict=True):
        write(item.log, folder / f"seed-{number}.parquet")
        if item.journal is not None:
            write_text(folder / f"seed-{number}.journal.jsonl", "".join(item.journal))
    _keep_inputs(case, folder)
    summary = _together(case, [item.summary for item in found]) | {"out": paths.shown(folder)}
    write_json(folder / "summary.json", summary)
    return summary


def run_seed(task: Task) -> SeedRun:
    """Simulate one seed and summarise it."""
    case, schedule = task.case, task.case.draw(task.seed)
    fleet = case.scenario.fleet
    result, watch = case.simulate(schedule, task.seed, provenance={
        "config_text": case.text, "workload": case.scenario.workload.model_dump(mode="json", exclude_none=True),
        "gpu": f"{fleet.gpus} per replica" if fleet.gpus else "",
    })
    tiers = by_tier(result.log, case.scenario)
    rate, loading, peak = arrival_rps(schedule), arrival_rps(case.servable(schedule)), task.saturation
    summary = tiers.pop(EVERY_TIER) | {
        "seed": task.seed, "arrived": len(arrived(result.log)), "rejected": _rejected(result.log),
        "sim": result.facts | {
            "arrival_rate_rps": rate, "servable_rate_rps": loading, "saturation_rps": peak,
            "load_frac": loading / peak if loading is not None and peak else None, "warning": unstable(loading, peak),
            "outside_profile_range": {"asked": watch.asked, "outside": dict(watch.outside)},
            "warmup_found": warmup_found(result.log), "cost_usd": cost_usd(result),
        },
        "tiers": tiers, "provenance": result.log.provenance.as_dict(),
    }
    journal = None if result.journal is None else tuple(result.journal.lines())
    return SeedRun(replace(result.log), journal, summary)  # a fresh one: without the copies that it caches


def unstable(rate_rps: float | None, saturation: float | None) -> str | None:
    """One line where the queue grows for as long as requests come; None where it does not."""
    if rate_rps is None or not saturation or rate_rps < saturation:
        return None
    return (f"unstable: arrival rate {rate_rps / saturation:.1f}x the saturation rate ({rate_rps:.3g} against "
            f"{saturation:.3g} requests/s): waits grow with the length of the run, so its averages are not a forecast")


def _rejected(log: RunLog) -> dict[str, Any]:
    """How many requests no replica could ever serve, warm-up included, and why the first of them."""
    mine = np.asarray(log.text("outcome") == "rejected", dtype=bool)
    return {"requests": int(mine.sum()), "first": str(log.where(mine).text("error")[0]) if mine.any() else None}


def _keep_inputs(case: Case, folder: Path) -> None:
    """The scenario and its profile beside the logs: what `sim trace` plays again."""
    write_text(folder / "scenario.toml", case.text)
    profiles.write(case.profile, folder / "profile.json")


def _together(case: Case, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON of all seeds: means over them, and for each mean its 95 % interval where there are two or more."""
    first, profile = found[0], case.profile
    outcomes = {name: sum(item["outcomes"][name] for item in found) for name in first["outcomes"]}
    if sum(outcomes.values()) != sum(item["requests"] for item in found):
        raise Failure("simulator bug: the outcomes do not add up to the requests")
    return {
        "kind": KIND, "schema": SCHEMA, "world": "simulated", "title": case.scenario.title, "partial": False,
        "basis": {"profile_source": profile.source, "profile_sha256": profile.sha256,
                  "profile_states_range": bool(profile.ranges.regions), **case.basis},
        "seeds": [item["seed"] for item in found], "requests": sum(item["requests"] for item in found),
        "warmup": sum(item["warmup"] for item in found),
        "not_arrived": sum(item["not_arrived"] for item in found), "outcomes": outcomes,
        "simulation_only": case.simulation_only(case.draw(first["seed"])),
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
