"""A decision: how many replicas of which candidate meet the SLO at the load, and what that costs. Simulated."""

import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sims.rules import Rules, as_facts
from sims.scenario import rules_for
from workbench import __version__
from workbench.config import parse, read_text
from workbench.economics.break_even import break_even
from workbench.economics.plan_spec import CandidateSpec, PlanSpec
from workbench.economics.search import highest, smallest
from workbench.economics.unit_cost import Load, unit_cost
from workbench.files import write_json
from workbench.flows.trial import Bench, Trial, load_of
from workbench.hardware.prices import ApiPrice, MachinePrice
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.workload.draw import draw

KIND, SCHEMA = "workbench.plan", 1
OnCandidate = Callable[[str], None]


def plan_file(path: Path, out: Path | None = None, on_candidate: OnCandidate | None = None) -> dict[str, Any]:
    """Read a plan file, answer it, and write `out/plan.json` where `out` is given."""
    spec = parse(PlanSpec, read_text(path), path.name)
    found = plan(spec, path.parent, on_candidate=on_candidate, name=path.name)
    if out is not None:
        write_json(out / "plan.json", found)
    return found


def plan(
    spec: PlanSpec, base: Path, *, today: date | None = None, on_candidate: OnCandidate | None = None,
    name: str = "plan",
) -> dict[str, Any]:
    """Answer a plan; `base` is the folder that profile paths are relative to. Shape: docs/plan.md."""
    today = today or datetime.now(UTC).date()
    # all errors before any work
    loaded = [(item, _profile(item, base, name), item.price(today)) for item in spec.candidate]
    api = spec.api.price(today) if spec.api is not None else None
    schedules = tuple(draw(spec.workload, seed, base=base) for seed in spec.seeds)
    load = load_of(schedules)
    found = []
    for item, profile, machine in loaded:
        if on_candidate is not None:
            on_candidate(item.name)
        bench = Bench(profile, _rules(item, profile), schedules, spec.slo.as_slo(), spec.slo.attainment_frac)
        found.append(_candidate(item, profile, machine, bench, spec, api, today))
    chosen = _choose(found)
    return {
        "kind": KIND, "schema": SCHEMA, "workbench": __version__, "title": spec.title,
        "planned_at_utc": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "origin": "simulated",
        "load": asdict(load) | {"requests": [len(schedule) for schedule in schedules], "seeds": list(spec.seeds)},
        "slo": spec.slo.model_dump(exclude_none=True), "api": _price(api, today) if api is not None else None,
        "candidates": found, "choice": chosen, "caveat": _caveat(found, api),
        "answer": _answer(chosen, found, load, spec),
    }


def _profile(item: CandidateSpec, base: Path, name: str) -> Profile:
    return profiles.read(profile_path(item.profile, base, name, f"candidate {item.name!r}: profile"))


def _rules(item: CandidateSpec, profile: Profile) -> Rules:
    return rules_for(profile, item.rules, f"candidate {item.name!r}: rules")


def _candidate(
    item: CandidateSpec, profile: Profile, machine: MachinePrice, bench: Bench, spec: PlanSpec, api: ApiPrice | None,
    today: date,
) -> dict[str, Any]:
    trials: dict[int, Trial] = {}

    def meets(replicas: int) -> bool:
        trials[replicas] = bench.trial(replicas)
        return trials[replicas].met

    alone, peak = bench.alone(), bench.peak_rps
    reachable = alone >= bench.target_frac
    replicas = smallest(meets, spec.max_replicas) if reachable else None
    knee = _knee(bench) if spec.knee and reachable else None
    divided = math.ceil(bench.load.rate_rps / peak) if peak else None
    found: dict[str, Any] = {
        "name": item.name, "subject": profile.subject.model_dump(), "profile_source": profile.source,
        "profile_sha256": profile.sha256, "rules": as_facts(bench.rules), "machine": _price(machine, today),
        "replicas_per_machine": item.replicas_per_machine, "met": replicas is not None,
        "why_not": None if replicas is not None else _why_not(bench, alone, trials, spec), "alone_frac": alone,
        "replicas": replicas, "machines": None, "divided": {"peak_rps": peak, "replicas": divided},
        "knee": knee, "at_load": None, "cost": None, "break_even": None,
        "trials": [trials[n].as_dict() for n in sorted(trials)],
    }
    if replicas is not None:
        found["at_load"] = trials[replicas].as_dict()
        found |= _money(replicas, item.replicas_per_machine, machine, bench.load, knee, api)
    return found


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


def _why_not(bench: Bench, alone: float, trials: dict[int, Trial], spec: PlanSpec) -> str:
    if not trials:
        return (f"unreachable: alone on the engine {alone:.1%} of the requests meet the SLO, {bench.target_frac:.1%} "
                "are asked; no number of replicas helps")
    last = trials[max(trials)]
    return (f"not met with {spec.max_replicas} replicas: attainment {last.attainment.mean:.1%} "
            f"({max(0.0, last.attainment.low):.1%} to {min(1.0, last.attainment.high):.1%})")


def _price(row: MachinePrice | ApiPrice, today: date) -> dict[str, Any]:
    return {key: value for key, value in asdict(row).items() if value is not None} | {
        "as_of": row.as_of.isoformat(), "stale": row.is_stale(today)}


def _choose(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The cheapest that meets the SLO; of two that cost the same, the one with fewer replicas, then the first."""
    able = [item for item in found if item["met"]]
    if not able:
        return None
    best = min(able, key=lambda item: (item["cost"]["usd_per_hour"], item["replicas"]))
    return {"name": best["name"], "replicas": best["replicas"], "machines": best["machines"], "cost": best["cost"],
            "break_even": best["break_even"]}


def _caveat(found: list[dict[str, Any]], api: ApiPrice | None) -> str | None:
    """What the comparison with the API leaves out, where another model is served there."""
    served = sorted({item["subject"]["model"] for item in found if item["subject"]["model"]})
    if api is None or api.model in served:
        return None
    return (f"the API serves {api.model or 'a model that is not named'}, the candidates "
            f"{', '.join(served) or 'one that is not named'}: prices of tokens are compared, not of equal answers")


def _answer(chosen: dict[str, Any] | None, found: list[dict[str, Any]], load: Load, spec: PlanSpec) -> str:
    asked = f"{load.rate_rps:.3g} requests/s with {spec.slo.attainment_frac:.0%} inside the SLO"
    if chosen is None:
        return f"None of the {len(found)} candidates carries {asked} (simulated)."
    cost = chosen["cost"]
    text = (f"{chosen['replicas']} replica{'s' if chosen['replicas'] > 1 else ''} of {chosen['name']} carry {asked}: "
            f"{cost['usd_per_hour']:.3g} USD/h, {cost['usd_per_million_output_tok']:.3g} USD per million output tokens "
            "(simulated)")
    if chosen["break_even"] is not None:
        more = "more" if chosen["break_even"]["self_hosting_is_cheaper"] else "not more"
        text += f"; the API would charge {chosen['break_even']['api_usd_per_hour']:.3g} USD/h, {more}"
    return text + "."
