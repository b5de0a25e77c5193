"""`simulate_plane`: a schedule, a profile, an engine's rules and a `[control]` table in; run log and journal out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sims.cost import apportion, fleet_pusd
from sims.overheads import Overheads
from sims.plane.clients import Clients
from sims.plane.driver import PlaneDriver
from sims.plane.failures import Failure
from sims.plane.harvest import seen_tokens
from sims.plane.rows import log_of
from sims.replica import IterationTime
from sims.rules import EngineRules, as_facts
from sims.station import Mode
from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.events import Arrived
from workbench.control.plane.journal import Entry, PlaneJournal
from workbench.control.plane.metrics import ObservedPlane
from workbench.control.plane.plane import ControlPlane
from workbench.errors import UsageError
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog

JOURNAL_UP_TO = 100_000  # requests; above, a journal is kept only when asked for


@dataclass(frozen=True)
class PlaneResult:
    """`plane` is as it was left: its ledger, tally, attainment and audit are read from it. Lists have one entry a
    replica; `replica_ns` is the time for which each was started, `starts` are (when, replica, token)."""

    log: RunLog
    journal: PlaneJournal | None
    moves: tuple[Entry, ...]  # of the journal, those of the fleet, the models and the alarms: always there
    plane: ControlPlane
    iterations: tuple[int, ...]
    busy_ns: tuple[int, ...]
    replica_ns: tuple[int, ...]
    starts: tuple[tuple[int, int, int], ...]
    preemptions: int
    stop_ns: int
    events: int
    mode: str  # what ran: macro, iteration (the same with jumps of one) or oracle
    why: str | None  # why the oracle ran


def arrival_of(plan: Planned) -> Arrived:
    """As v0.1 told it: the prompt's length is also the guess of the work."""
    return Arrived(plan.request_id, plan.tenant, tier=plan.tier, prompt_tok=plan.asked_prompt_tok,
                   estimated_tok=plan.asked_prompt_tok, priority=plan.priority, prefix_ids=plan.prefix_ids)


def placed(plane: ControlPlane) -> Mapping[int, str]:
    """On which node each replica is."""
    operations = plane.desk.operations
    return {} if operations is None or operations.cluster is None else dict(operations.cluster.nodes)


def simulate_plane(
    schedule: Sequence[Planned], profile: IterationTime, rules: EngineRules, facts: Mapping[str, Any], *,
    arrival: Callable[[Planned], Arrived] = arrival_of, custom: Custom | None = None, failures: Sequence[Failure] = (),
    patience_ns: int | None = None, report_ns: int | None = None, horizon_ns: int | None = None,
    overheads: Overheads | None = None, price_usd_per_hour: float | None = None, seed: int = 0,
    clients: Clients | None = None, keep_journal: bool | None = None, checked: bool = False,
    start_ns: Callable[[int, int], int] | int = 0, heartbeat_ns: int | None = None,
    nodes: Mapping[int, str] | None = None, provenance: Mapping[str, Any] | None = None, mode: Mode = "macro",
    observe: bool = False,
) -> PlaneResult:
    """Open loop. `checked` asks the plane for its conservation after every event. `start_ns`: how long a replica takes
    to serve after its start, by its number and the start's token. `nodes`: on which node each replica is at first
    (default: where the plane placed it). `mode` as of `sims.run.simulate`.
    `observe`: the plane's metrics are kept, with or without a journal. Raises UsageError."""
    planned = {plan.request_id for plan in schedule}
    if len(planned) < len(schedule) or not schedule:
        raise UsageError("the schedule is empty, or has a request_id twice")
    if any(plan.intended_ns is None or plan.intended_ns < 0 for plan in schedule):
        raise UsageError("every request of the schedule needs a time of at least 0")
    overheads = overheads or Overheads.of(profile)
    try:
        plane = plane_of(facts, custom)
        if observe:
            plane = ObservedPlane(plane)
        driver = PlaneDriver(
            schedule, plane, rules, profile, overheads, arrival, failures=failures, patience_ns=patience_ns,
            report_ns=report_ns, checked=checked, clients=clients, start_ns=start_ns, heartbeat_ns=heartbeat_ns,
            nodes=placed(plane) if nodes is None else nodes, mode=mode,
            every_node=tuple(facts.get("cluster", {}).get("nodes", ())),
            keep_journal=len(schedule) <= JOURNAL_UP_TO if keep_journal is None else keep_journal)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    stop_ns = driver.run(horizon_ns)
    plane.check()
    lines = [line for line in driver.lines.values() if line.sent_ns is not None or line.plan.request_id in planned]
    replica_ns = driver.machines.paid_ns(stop_ns)
    cost = None
    if price_usd_per_hour is not None:
        total_pusd = fleet_pusd(price_usd_per_hour, 1, sum(replica_ns))
        cost = apportion(total_pusd, [line.engine_ns for line in lines])
    subject = getattr(profile, "subject", None)
    named: dict[str, Any] = {
        "model": getattr(subject, "model", ""), "engine": rules.engine, "seeds": {"schedule": seed},
        "engine_facts": {key: {"asked": value, "seen": value, "seen_via": "rules"}
                         for key, value in as_facts(rules).items()},
        "profile_sha256": str(getattr(profile, "sha256", "")), "profile_source": str(getattr(profile, "source", "")),
        "price_usd_per_hour": None if price_usd_per_hour is None else price_usd_per_hour * len(replica_ns),
    }
    origin = collect("simulated", **(named | dict(provenance or {})))
    tokens, preemptions = seen_tokens(driver, lines)
    every = [[one for one in driver.stations if one.number == number] for number in range(len(replica_ns))]
    return PlaneResult(
        log_of(lines, tokens, preemptions, origin, cost, plane.desk.billing is not None),
        None if driver.journal is None else PlaneJournal(facts, driver.journal), tuple(driver.moves), plane,
        tuple(sum(station.iterations for station in same) for same in every),
        tuple(sum(station.busy_ns(stop_ns) for station in same) for same in every),
        replica_ns, tuple(driver.machines.starts), sum(station.preemptions for station in driver.stations), stop_ns,
        driver.clock.events, driver.stations[0].mode, driver.make.why,
    )
