"""From run logs to a profile: rebuild every iteration by the engine's own rules, then fit its time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sims.replay import Replay, replay
from sims.rules import LlamaCppRules, as_facts, from_facts
from workbench.errors import UsageError
from workbench.flows.engine_in import estimate_ns
from workbench.profile.fit import fit
from workbench.profile.profile import Overhead, Profile, Subject, write
from workbench.profile.samples import Origin
from workbench.runlog.table import RunLog, read

DOUBT_NS = 2_000_000  # nearer to an iteration's edge than this, tokens and not the clock say who was in it
SPEED_FACTS = ("version", "threads", "flash_attention")
SAME = ("model", "quant", "kv_type", "weights_id", "engine")  # a profile speaks of one of each


def fit_profile(paths: Sequence[Path], out: Path | None = None, *, or_limited: bool = False) -> Profile:
    """Fit a profile from measured run logs (grid and live traces); writes it to `out` where given.

    Runs whose client was the limit are left out; where no other is left, `or_limited` takes them all the same
    (the profile's provenance says so). Raises UsageError for a simulated or a held-out log, or for logs of
    different engines, models or machines.
    """
    if not paths:
        raise UsageError("profile fit: name at least one run log")
    logs = [(path, read(path)) for path in paths]
    rules = _check(logs)
    logs = _unlimited(logs, or_limited)
    engine_in_ns = estimate_ns([log for _, log in logs], rules)
    replays = [
        replay(log, rules, engine_in_ns=engine_in_ns, doubt_ns=DOUBT_NS, run=path.stem, origin=_origin_of(log))
        for path, log in logs
    ]
    profile = fit(
        [sample for found in replays for sample in found.samples], rules=as_facts(rules),
        overheads=(Overhead(name="engine_in", ns=engine_in_ns, occupies_engine=False),),
        subject=_subject(logs[0][1]), provenance=_provenance(logs),
        left_out=dict(sum((_left_out(found) for found in replays), Counter())),
    )
    if out is not None:
        write(profile, out)
    return profile


def rules_of(log: RunLog) -> LlamaCppRules:
    """The batching rules as the measured engine stated them; only llama.cpp's can be replayed today."""
    rules = from_facts(log.provenance.engine_facts | {"engine": log.provenance.engine})
    if not isinstance(rules, LlamaCppRules):
        raise UsageError(f"engine {log.provenance.engine!r}: its iterations cannot be rebuilt from a client's log yet")
    return rules


def _unlimited(logs: list[tuple[Path, RunLog]], or_limited: bool) -> list[tuple[Path, RunLog]]:
    kept = [(path, log) for path, log in logs if not log.provenance.client.get("client_limited")]
    if not kept and not or_limited:
        raise UsageError("profile fit: the client was the limit in every run; measure again on a quieter machine")
    return kept or logs


def _speed_facts(log: RunLog) -> dict[str, Any]:
    """What decides an engine's speed beside the model: of one profile all runs have the same."""
    machine = log.provenance.machine
    facts = {name: log.provenance.engine_facts.get(name, {}) for name in SPEED_FACTS}
    return {name: fact.get("seen") if fact.get("seen") is not None else fact.get("asked")
            for name, fact in facts.items()} | {"machine": (machine.cpu, machine.cores) if machine else None}


def _origin_of(log: RunLog) -> Origin:
    return "grid" if log.provenance.workload.get("role") == "grid" else "live"


def _left_out(found: Replay) -> Counter[str]:
    return Counter({
        "no token seen at its end": found.hidden_n, "ended before it began": found.contradicted_n,
        "blurred by tokens read late": found.blurred_n,
        "a request of unknown length was in the engine": found.overlapped_n,
    })


def _check(logs: Sequence[tuple[Path, RunLog]]) -> LlamaCppRules:
    for path, log in logs:
        if log.provenance.world != "real":
            raise UsageError(f"{path.name}: a simulated run cannot be fitted; measure one with `workbench bench`")
        if log.provenance.workload.get("role") == "held_out":
            raise UsageError(f"{path.name}: held out for validation, so it may not enter a fit; leave it out")
    first_path, first = logs[0]
    rules = rules_of(first)
    for path, log in logs[1:]:
        for field in SAME:
            a, b = getattr(first.provenance, field), getattr(log.provenance, field)
            if a != b:
                raise UsageError(f"{path.name}: {field} is {b!r}, in {first_path.name} it is {a!r}; fit them apart")
        for name, value in _speed_facts(log).items():
            if value != _speed_facts(first)[name]:
                raise UsageError(f"{path.name}: {name} is {value!r}, in {first_path.name} it is "
                                 f"{_speed_facts(first)[name]!r}; fit them apart")
        if rules_of(log) != rules:
            raise UsageError(f"{path.name}: batching limits differ from those of {first_path.name}; fit them apart")
    return rules


def _subject(log: RunLog) -> Subject:
    source, facts = log.provenance, _speed_facts(log)
    machine = source.machine
    return Subject(
        engine=source.engine, engine_version=str(facts["version"] or ""), model=source.model,
        quant=source.quant, kv_type=source.kv_type, weights_id=source.weights_id, grown_from=source.grown_from,
        hardware=f"{machine.cpu}, {machine.cores} cores, {facts['threads'] or '?'} used" if machine else "",
    )


def _provenance(logs: Sequence[tuple[Path, RunLog]]) -> dict[str, Any]:
    """What the profile says about where it comes from."""
    first = logs[0][1].provenance
    return {
        "started_at_utc": first.started_at_utc, "git_commit": first.git_commit,
        "machine": asdict(first.machine) if first.machine else None,
        "runs": [
            {
                "name": path.stem, "started_at_utc": log.provenance.started_at_utc, "requests": len(log),
                "role": log.provenance.workload.get("role", ""), "partial": log.partial,
                "client_limited": bool(log.provenance.client.get("client_limited")),
            }
            for path, log in logs
        ],
    }
