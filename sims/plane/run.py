"""`simulate_plane`: a schedule, a profile, an engine's rules and a `[control]` table in; run log and journal out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sims.cost import apportion, fleet_pusd
from sims.overheads import Overheads
from sims.plane.clients import Clients
from sims.plane.driver import Failure, PlaneDriver
from sims.plane.rows import log_of
from sims.replica import IterationTime
from sims.rules import EngineRules, as_facts
from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.events import Arrived
from workbench.control.plane.journal import PlaneJournal
from workbench.control.plane.plane import ControlPlane
from workbench.errors import UsageError
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog


@dataclass(frozen=True)
class PlaneResult:
    """`plane` is as it was left: its ledger, tally, attainment and audit are read from it."""

    log: RunLog
    journal: PlaneJournal | None
    plane: ControlPlane
    iterations: tuple[int, ...]
    busy_ns: tuple[int, ...]
    stop_ns: int
    events: int


def arrival_of(plan: Planned) -> Arrived:
    """As v0.1 told it: the prompt's length is also the guess of the work."""
    return Arrived(plan.request_id, plan.tenant, tier=plan.tier, prompt_tok=plan.asked_prompt_tok,
                   estimated_tok=plan.asked_prompt_tok, priority=plan.priority, prefix_ids=plan.prefix_ids)


def simulate_plane(
    schedule: Sequence[Planned], profile: IterationTime, rules: EngineRules, facts: Mapping[str, Any], *,
    arrival: Callable[[Planned], Arrived] = arrival_of, custom: Custom | None = None, failures: Sequence[Failure] = (),
    patience_ns: int | None = None, report_ns: int | None = None, horizon_ns: int | None = None,
    overheads: Overheads | None = None, price_usd_per_hour: float | None = None, seed: int = 0,
    clients: Clients | None = None, keep_journal: bool = True, checked: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> PlaneResult:
    """Open loop, on the oracle. `checked` asks the plane for its conservation after every event. Raises UsageError."""
    planned = {plan.request_id for plan in schedule}
    if len(planned) < len(schedule) or not schedule:
        raise UsageError("the schedule is empty, or has a request_id twice")
    if any(plan.intended_ns is None or plan.intended_ns < 0 for plan in schedule):
        raise UsageError("every request of the schedule needs a time of at least 0")
    try:
        plane = plane_of(facts, custom)
    except (TypeError, ValueError) as error:
        raise UsageError(f"control: {error}") from None
    overheads = overheads or Overheads.of(profile)
    driver = PlaneDriver(schedule, plane, rules, profile, overheads, arrival, failures=failures,
                         patience_ns=patience_ns, report_ns=report_ns, keep_journal=keep_journal, checked=checked,
                         clients=clients)
    stop_ns = driver.run(horizon_ns)
    plane.check()
    lines = [line for line in driver.lines.values() if line.sent_ns is not None or line.plan.request_id in planned]
    cost = None
    if price_usd_per_hour is not None:
        total_pusd = fleet_pusd(price_usd_per_hour, len(driver.stations), stop_ns)
        cost = apportion(total_pusd, [line.engine_ns for line in lines])
    subject = getattr(profile, "subject", None)
    named: dict[str, Any] = {
        "model": getattr(subject, "model", ""), "engine": rules.engine, "seeds": {"schedule": seed},
        "engine_facts": {key: {"asked": value, "seen": value, "seen_via": "rules"}
                         for key, value in as_facts(rules).items()},
        "profile_sha256": str(getattr(profile, "sha256", "")), "profile_source": str(getattr(profile, "source", "")),
        "price_usd_per_hour": None if price_usd_per_hour is None else price_usd_per_hour * len(driver.stations),
    }
    origin = collect("simulated", **(named | dict(provenance or {})))
    return PlaneResult(
        log_of(lines, origin, cost, plane.desk.billing is not None),
        None if driver.journal is None else PlaneJournal(facts, driver.journal), plane,
        tuple(station.iterations for station in driver.stations),
        tuple(station.busy_ns(stop_ns) for station in driver.stations), stop_ns, driver.clock.events,
    )
