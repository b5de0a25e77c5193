"""`sim run` of a scenario with a `[control]` table: log, journal, attempts, ledger, invoices and a summary per seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sims.plane.custom import blamed
from sims.plane.run import PlaneResult
from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.control.plane.metrics import ObservedPlane
from workbench.control.plane.plane import ControlPlane
from workbench.errors import Failure
from workbench.files import atomic, write_json, write_text
from workbench.flows import plane_books, plane_policies
from workbench.flows.executor import OnDone, Where, run
from workbench.flows.plane_attempts import attempts, broken, operations
from workbench.flows.plane_policies import Chosen
from workbench.flows.plane_summary import mean_refusals, sla, summary, tiered, warnings
from workbench.profile import profile as profiles
from workbench.runlog.table import RunLog, write
from workbench.stats.intervals import t_interval

KIND, SCHEMA = "workbench.plane_simulation", 1
SLA_KIND, INVOICES_KIND = "workbench.sla", "workbench.invoices"
CSV_UP_TO = 400_000  # rows of a ledger: beyond, Parquet


@dataclass(frozen=True)
class PlaneTask:
    """One seed. `journal` None: where there are not too many requests for one."""

    case: PlaneCase
    seed: int
    chosen: tuple[Chosen, ...] = ()
    journal: bool | None = None


@dataclass(frozen=True)
class PlaneSeed:
    """One seed as it comes back from where it ran; the files are written here."""

    log: RunLog
    journal: str | None
    attempts: pa.Table | None
    ledger: pa.Table | None
    metrics: str  # Prometheus' text, as the run ended
    invoices: list[dict[str, Any]]
    invoices_text: str
    summary: dict[str, Any]


def run_plane(
    path: Path, text: str, out: Path | None = None, *, seed: int | None = None, replications: int | None = None,
    where: Where | None = None, on_done: OnDone | None = None, policies: Sequence[str] = (),
    journal: bool | None = None,
) -> dict[str, Any]:
    """Run the scenario, write `out` (default: runs/sim-UTC/), and return what is written as summary.json."""
    plane_policies.control_of(text, path.name)
    chosen = plane_policies.parse(policies)
    case = plane_policies.chosen_in(PlaneCase.load(path), chosen)
    folder = out or paths.stamped("sim")
    paths.refuse_used(folder)
    seeds = case.scenario.replicated(replications) if seed is None else (seed,)
    found = run(run_seed, [PlaneTask(case, number, chosen, journal) for number in seeds], where, on_done)
    for number, item in zip(seeds, found, strict=True):
        _write(item, folder, f"seed-{number}")
    write_text(folder / "scenario.toml", case.text)
    profiles.write(case.profile, folder / "profile.json")
    whole = together(case, chosen, [item.summary for item in found]) | {"out": paths.shown(folder)}
    write_json(folder / "summary.json", whole)
    write_json(folder / "sla.json", {"kind": SLA_KIND, "schema": SCHEMA, "seeds": whole["seeds"],
                                     "tiers": sla(whole)})
    return whole


def run_seed(task: PlaneTask) -> PlaneSeed:
    """Simulate one seed and summarise it."""
    case = task.case
    custom = plane_policies.classes(task.chosen)
    with blamed(custom):
        result = case.run(task.seed, custom, keep_journal=task.journal, observe=True)
    desk, log = result.plane.desk, tiered(result.log, result.plane.desk)
    if sum(log.outcomes().values()) != len(log) or desk.tally.ended + len(desk.inside) != desk.tally.arrived:
        raise Failure("simulator bug: the outcomes do not add up to the requests")
    entries = None if result.journal is None else result.journal.entries
    found = summary(case, task.seed, log, result) | {
        "journal": entries is not None, "operations": _operations(case, result)}
    invoices = () if desk.billing is None else plane_books.issued(desk.billing, result.stop_ns)
    if desk.billing is not None:
        found["balances_pusd"] = plane_books.balances(desk.billing)
    return PlaneSeed(
        replace(log), None if result.journal is None else "".join(result.journal.lines()),
        None if entries is None else attempts(entries),
        None if desk.billing is None else plane_books.ledger_table(desk.billing.ledger), _metrics(result.plane),
        [plane_books.as_json(one) for one in invoices], plane_books.as_text(invoices), found)


def _metrics(plane: ControlPlane) -> str:
    assert isinstance(plane, ObservedPlane)  # as asked for
    return plane.metrics.values.text()


def _operations(case: PlaneCase, result: PlaneResult) -> list[dict[str, Any]]:
    """In order, failures first; what comes after the last request's end concerns nobody."""
    failures = [one.as_failure() for one in case.scenario.failures]
    found = broken(failures, result.stop_ns) + operations(result.moves)
    return sorted((one for one in found if one["at_ns"] <= result.stop_ns), key=lambda one: one["at_ns"])


def _write(item: PlaneSeed, folder: Path, stem: str) -> None:
    write(item.log, folder / f"{stem}.parquet")
    if item.journal is not None:
        write_text(folder / f"{stem}.journal.jsonl", item.journal)
    if item.attempts is not None:
        with atomic(folder / f"{stem}.attempts.parquet") as temporary:
            pq.write_table(item.attempts, temporary, compression="zstd")
    write_text(folder / f"{stem}.metrics.prom", item.metrics)
    if item.ledger is None:
        return
    debits, credits = plane_books.totals_pusd(item.ledger)
    if debits != credits:
        raise Failure(f"simulator bug: the ledger's debits are {debits} pico-USD, its credits {credits}")
    if item.ledger.num_rows <= CSV_UP_TO:
        with atomic(folder / f"{stem}.ledger.csv") as temporary:
            pa_csv.write_csv(item.ledger, temporary, pa_csv.WriteOptions(quoting_style="needed"))
    else:
        with atomic(folder / f"{stem}.ledger.parquet") as temporary:
            pq.write_table(item.ledger, temporary, compression="zstd")
    write_json(folder / f"{stem}.invoices.json", {"kind": INVOICES_KIND, "schema": SCHEMA, "invoices": item.invoices})
    write_text(folder / f"{stem}.invoices.txt", item.invoices_text)


def lesson(text: str) -> str:
    """What the comment that a scenario begins with says is to learn from it."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    text = " ".join(lines).strip()
    found = text.removeprefix("What to learn:").strip()
    return found if found == text else found[:1].upper() + found[1:]


def together(case: PlaneCase, chosen: Sequence[Chosen], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON of all seeds: every number is the mean over them, with its 95 % interval where there are two or more."""
    first, profile = found[0], case.profile
    tiers, tenants = ({name: _mean([one[key][name] for one in found if name in one[key]])
                       for name in _names([one[key] for one in found])} for key in ("tiers", "tenants"))
    return {
        "kind": KIND, "schema": SCHEMA, "world": "simulated", "title": case.scenario.title, "lesson": lesson(case.text),
        "partial": False, "basis": {"profile_source": profile.source, "profile_sha256": profile.sha256,
                                    "model": profile.subject.model, "quant": profile.subject.quant,
                                    "gpu": profile.subject.gpu, "parallel": str(profile.parallel)},
        "seeds": [one["seed"] for one in found], "policies": [one.text if one.name else one.about for one in chosen],
        "control": case.scenario.facts, "slo": first["slo"],
        "requests": sum(one["requests"] for one in found), "warmup": sum(one["warmup"] for one in found),
        "not_arrived": sum(one["not_arrived"] for one in found),
        "outcomes": {name: sum(one["outcomes"][name] for one in found) for name in first["outcomes"]},
        "refusals": mean_refusals(found),
        "metrics": _mean([one["metrics"] for one in found]), "tiers": tiers, "tenants": tenants,
        "money": _mean([one["money"] for one in found]), "tally": _mean([one["tally"] for one in found]),
        "warnings": warnings(case, found),
        "runs": [{key: value for key, value in one.items() if key not in ("provenance", "metrics")} for one in found],
        "provenance": first["provenance"],
    }


def _names(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of all seeds, in the order of the one that has most."""
    return [*dict.fromkeys(name for one in sorted(found, key=len, reverse=True) for name in one)]


def _mean(items: Sequence[Any]) -> Any:
    """Of nested tables of numbers; None as soon as one is. `{simulated, low, high}` where a metric says its world."""
    first = items[0]
    if isinstance(first, Mapping):
        if set(first) == {"simulated"}:
            return _interval([one["simulated"] for one in items])
        return {key: _added(key, [one[key] for one in items]) for key in first}
    if any(item is None for item in items):
        return None
    if isinstance(first, bool | str) or len(items) == 1 or all(item == first for item in items):
        return first
    return float(np.mean([float(item) for item in items]))


def _added(key: str, items: Sequence[Any]) -> Any:
    """Money stays whole, rounded once; how many values a metric had is the sum."""
    if key == "n":
        return {"simulated": sum(one["simulated"] for one in items)}
    if key.endswith("_pusd") and None not in items:
        return sum(items) // len(items)
    return _mean(items)


def _interval(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [float(value) for value in values if value is not None]
    if len(known) < len(values):
        return {"simulated": None}
    if len(known) == 1:
        return {"simulated": values[0]}
    found = t_interval(np.array(known))
    return {"simulated": float(np.mean(known)), "low": max(0.0, found.low), "high": found.high}
