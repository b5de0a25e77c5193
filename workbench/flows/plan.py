"""A decision: how many replicas of which candidate meet the SLO at the load, and what that costs. Simulated."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sims.rules import Rules, as_facts
from sims.scenario import rules_for
from workbench import __version__
from workbench.config import parse, read_text, told_of
from workbench.economics.break_even import break_even
from workbench.economics.plan_spec import CandidateSpec, PlanSpec
from workbench.economics.search import highest, smallest
from workbench.economics.unit_cost import Load, unit_cost
from workbench.files import write_json
from workbench.flows import plan_choice as choice
from workbench.flows.reasons import pareto, short_of, unreachable
from workbench.flows.trial import Bench, Trial, load_of
from workbench.hardware.prices import ApiPrice, MachinePrice
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.workload.draw import draw

KIND, SCHEMA = "workbench.plan", 1
OnCandidate = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Known:
    """A score, higher is better, and what does not match where it was measured."""

    score: float
    beware: str = ""


QualityOf = Callable[[Profile], Known | None]


def plan_file(
    path: Path, out: Path | None = None, on_candidate: OnCandidate | None = None, *, min_quality: float | None = None,
    quality: QualityOf | None = None,
) -> dict[str, Any]:
    """Read a plan file, answer it, and write `out/plan.json` where `out` is given."""
    spec = parse(PlanSpec, read_text(path), path.name)
    if min_quality is not None:
        spec = spec.model_copy(update={"min_quality": min_quality})
    with told_of(path.name):
        found = plan(spec, path.parent, on_candidate=on_candidate, name=path.name, quality=quality)
    if out is not None:
        write_json(out / "plan.json", found)
    return found


def plan(
    spec: PlanSpec, base: Path, *, today: date | None = None, on_candidate: OnCandidate | None = None,
    name: str = "plan", quality: QualityOf | None = None,
) -> dict[str, Any]:
    """Answer a plan; `base` is the folder that profile paths are relative to. Shape: docs/plan.md.

    `quality` is asked for what the file does not say: what is known of the profile's weights and KV type, or None.
    """
    today = today or datetime.now(UTC).date()
    # all errors before any work
    loaded = [(item, _profile(item, base, name), item.price(today)) for item in spec.candidates]
    api = spec.api.price(today) if spec.api is not None else None
    schedules = tuple(draw(spec.workload, seed, base=base) for seed in spec.seeds)
    load = load_of(schedules)
    answers: dict[str, dict[str, Any]] = {}  # what only differs in price is simulated once
    found, options = [], []
    for item, profile, machine in loaded:
        if on_candidate is not None:
            on_candidate(item.name)
        bench = Bench(profile, _rules(item, profile), schedules, spec.slo.as_slo(), spec.slo.attainment_frac,
                      item.queue, item.router)
        known = _quality(item, profile, spec, quality)
        key = json.dumps([profile.sha256, as_facts(bench.rules), item.queue, item.router], sort_keys=True)
        if key not in answers:
            answers[key] = _simulated(bench, spec)
        made = _candidate(item, profile, machine, bench, answers[key], known, spec, api, today)
        found.append(made)
        options.append(choice.options(made, machine, item))
    chosen = choice.choose(found)
    choice.reject(found, options, chosen)
    tried = [one for many, item in zip(options, found, strict=True) if item["quality_met"] for one in many]
    return {
        "kind": KIND, "schema": SCHEMA, "workbench": __version__, "title": spec.title,
        "planned_at_utc": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "origin": "simulated",
        "load": asdict(load) | {"requests": [len(schedule) for schedule in schedules], "seeds": list(spec.seeds)},
        "slo": spec.slo.model_dump(exclude_none=True), "min_quality": spec.min_quality,
        "api": _price(api, today) if api is not None else None,
        "candidates": found, "pareto": [asdict(one) for one in pareto(tried)], "choice": chosen,
        "caveat": choice.caveat(found, api), "answer": choice.answer(chosen, found, load, spec),
    }


def _profile(item: CandidateSpec, base: Path, name: str) -> Profile:
    return profiles.read(profile_path(item.profile, base, name, f"candidate {item.name!r}: profile"))


def _rules(item: CandidateSpec, profile: Profile) -> Rules:
    return rules_for(profile, item.rules, f"candidate {item.name!r}: rules")


def _quality(item: CandidateSpec, profile: Profile, spec: PlanSpec, ask: QualityOf | None) -> Known | None:
    if item.quality is not None:
        return Known(item.quality)
    if item.profile in spec.quality:
        return Known(spec.quality[item.profile])
    return None if ask is None else ask(profile)


def _simulated(bench: Bench, spec: PlanSpec) -> dict[str, Any]:
    """What does not depend on prices."""
    trials: dict[int, Trial] = {}

    def meets(replicas: int) -> bool:
        trials[replicas] = bench.trial(replicas)
        return trials[replicas].met

    alone, peak = bench.alone(), bench.peak_rps
    reachable = alone >= bench.target_frac
    replicas = smallest(meets, spec.max_replicas) if reachable else None
    knee = _knee(bench) if spec.knee and reachable else None
    divided = math.ceil(bench.load.rate_rps / peak) if peak else None
    return {
        "met": replicas is not None,
        "why_not": None if replicas is not None else _why_not(bench, trials, spec), "alone_frac": alone,
        "replicas": replicas, "divided": {"peak_rps": peak, "replicas": divided}, "knee": knee,
        "at_load": None if replicas is None else trials[replicas].as_dict(),
        "trials": [trials[n].as_dict() for n in sorted(trials)],
    }


def _candidate(
    item: CandidateSpec, profile: Profile, machine: MachinePrice, bench: Bench, simulated: dict[str, Any],
    known: Known | None, spec: PlanSpec, api: ApiPrice | None, today: date,
) -> dict[str, Any]:
    score = None if known is None else known.score
    enough = spec.min_quality is None or (score is not None and score >= spec.min_quality)
    found: dict[str, Any] = {
        "name": item.name, "subject": profile.subject.model_dump(), "profile_source": profile.source,
        "profile_sha256": profile.sha256, "rules": as_facts(bench.rules), "queue": item.queue, "router": item.router,
        "machine": _price(machine, today), "replicas_per_machine": item.replicas_per_machine,
        "quality": score, "quality_beware": (known.beware if known else "") or None, "quality_met": enough,
        **simulated, "machines": None, "cost": None, "break_even": None,
        "rejected": simulated["why_not"],
    }
    if found["replicas"] is not None:
        found |= _money(found["replicas"], item.replicas_per_machine, machine, bench.load, found["knee"], api)
    if not enough:
        found["rejected"] = _too_poor(score, spec.min_quality or 0.0)
    return found


def _too_poor(score: float | None, asked: float) -> str:
    if score is None:
        return f"quality binds: nobody measured it, {asked:g} is asked; give quality, or measure it"
    return f"quality binds: {score:g}, {asked:g} is asked, {asked - score:.3g} short"


def _money(
    replicas: int, per_machine: int, machine: MachinePrice, load: Load, knee: dict[str, Any] | None,
    api: ApiPrice | None,
) -> dict[str, Any]:
    """Whole machines are paid. The fleet's capacity is taken as its replicas times what one carries alone."""
    machines = math.ceil(replicas / per_machine)
    usd_per_hour = machines * machine.usd_per_hour
    found: dict[str, Any] = {"machines": machines, "cost": asdict(unit_cost(usd_per_hour, load))}
    if api is not None:
        capacity = None if knee is None else max(load.rate_rps, replicas * knee["rate_rps"])
        prices = (api.usd_per_million_input_tok, api.usd_per_million_output_tok)
        meeting = break_even(usd_per_hour, load, *prices, capacity)
        found["break_even"] = asdict(meeting) | {"self_hosting_is_cheaper": meeting.self_hosting_is_cheaper}
    return found


def _knee(bench: Bench) -> dict[str, Any] | None:
    """The highest rate at which one replica still meets the SLO, as a trial; None without one or without a peak."""
    tried: dict[float, Trial] = {}

    def meets(rate_rps: float) -> bool:
        tried[rate_rps] = bench.trial(1, rate_rps)
        return tried[rate_rps].met

    rate_rps = highest(meets, bench.peak_rps) if bench.peak_rps else None
    return None if rate_rps is None else tried[rate_rps].as_dict()


def _why_not(bench: Bench, trials: dict[int, Trial], spec: PlanSpec) -> str:
    if not trials:
        return unreachable(bench)
    last = trials[max(trials)]
    return (f"not met with {spec.max_replicas} replicas: attainment {last.attainment.mean:.1%} "
            f"({max(0.0, last.attainment.low):.1%} to {min(1.0, last.attainment.high):.1%}); {short_of(last)}")


def _price(row: MachinePrice | ApiPrice, today: date) -> dict[str, Any]:
    return {key: value for key, value in asdict(row).items() if value is not None} | {
        "as_of": row.as_of.isoformat(), "stale": row.is_stale(today)}
