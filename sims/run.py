"""`simulate`: a schedule, a profile and an engine's rules in; a run log like any other out."""

from collections.abc import Mapping, Sequence
from typing import Any

from sims.cluster import Cluster
from sims.cost import apportion, fleet_pusd
from sims.overheads import Overheads
from sims.record import Record
from sims.replica import IterationTime
from sims.result import SimResult, check_laws
from sims.rules import Rules, as_facts
from workbench.control.journal import Journal, Setup
from workbench.errors import UsageError
from workbench.runlog.provenance import Provenance, collect
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog

JOURNAL_UP_TO = 100_000  # requests; above, a journal is kept only when asked for


def simulate(
    schedule: Sequence[Planned], profile: IterationTime, rules: Rules, *,
    replicas: int = 1, queue: str = "fcfs", router: str = "least_loaded", window: int | None = None,
    queue_with: Mapping[str, Any] | None = None, router_with: Mapping[str, Any] | None = None,
    arrivals_ns: Sequence[int] | None = None, concurrency: int | None = None, horizon_ns: int | None = None,
    overheads: Overheads | None = None, price_usd_per_hour: float | None = None, seed: int = 0,
    keep_journal: bool | None = None, keep_iterations: bool = False, provenance: Mapping[str, Any] | None = None,
    about: Any = None,
) -> SimResult:
    """Run the schedule to its end, or to the horizon: then what is inside stays in the log as `unfinished`.

    Requests arrive at `arrivals_ns` (default: their `intended_ns`), or one for one in a closed loop of
    `concurrency`. `overheads` default to the profile's. `price_usd_per_hour` is that of one replica; the fleet's
    cost over the run, idle time included, is split by the time that each request spent in an engine.
    `seed` is the schedule's, for the provenance: nothing here is random. `about` is the profile that the provenance
    names, where `profile` only wraps it. Raises UsageError.
    """
    times = _arrivals(schedule, arrivals_ns, concurrency)
    setup = Setup(queue, router, replicas, window, dict(queue_with or {}), dict(router_with or {}))
    try:
        door = setup.front_door()
    except (TypeError, ValueError) as error:
        raise UsageError(f"policies: {error}") from None
    cluster = Cluster(
        schedule, times, door, rules, profile, overheads or Overheads.of(profile), replicas=replicas,
        concurrency=concurrency, keep_iterations=keep_iterations,
        keep_journal=len(schedule) <= JOURNAL_UP_TO if keep_journal is None else keep_journal,
    )
    stop_ns = cluster.run(horizon_ns)
    records = list(cluster.records.values())
    check_laws(records, cluster.area_ns, stop_ns)
    named = profile if about is None else about
    origin = _provenance(named, rules, price_usd_per_hour, seed, replicas, provenance or {})
    return SimResult(
        log=_log(records, origin, stop_ns, _costs(records, price_usd_per_hour, replicas, stop_ns)),
        setup=setup, journal=None if cluster.journal is None else Journal(setup, tuple(cluster.journal)),
        iterations=tuple(station.iterations for station in cluster.stations),
        busy_ns=tuple(station.busy_ns(stop_ns) for station in cluster.stations),
        sequences=tuple(station.sequences for station in cluster.stations),
        preemptions=sum(station.replica.preemptions for station in cluster.stations),
        stop_ns=stop_ns, area_ns=cluster.area_ns, events=cluster.clock.events,
        trace=None if cluster.trace is None else tuple(cluster.trace),
    )


def _arrivals(
    schedule: Sequence[Planned], arrivals_ns: Sequence[int] | None, concurrency: int | None
) -> Sequence[int] | None:
    if not schedule:
        raise UsageError("the schedule is empty: nothing to simulate")
    if len({planned.request_id for planned in schedule}) < len(schedule):
        raise UsageError("the schedule has a request_id twice; each must be unique")
    if concurrency is not None:
        if concurrency < 1 or arrivals_ns is not None:
            raise UsageError(f"concurrency {concurrency}: at least 1, and then without arrival times")
        return None
    times: list[int] = []
    for i, planned in enumerate(schedule):
        when_ns = planned.intended_ns if arrivals_ns is None else arrivals_ns[i]
        if when_ns is None or when_ns < 0:
            raise UsageError(f"{planned.request_id}: arrives at {when_ns}; give a time of at least 0, or a concurrency")
        times.append(when_ns)
    return times


def _costs(records: list[Record], price: float | None, replicas: int, stop_ns: int) -> list[int] | list[None]:
    if price is None:
        return [None] * len(records)
    total = fleet_pusd(price, replicas, stop_ns)
    return apportion(total, [_in_engine_ns(record, stop_ns) for record in records])


def _in_engine_ns(record: Record, stop_ns: int) -> int:
    """From its first prompt token to its last token, or to the stop."""
    if record.start_ns is None:
        return 0
    return (stop_ns if record.left_ns is None else record.token_ns[-1]) - record.start_ns


def _log(records: list[Record], origin: Provenance, stop_ns: int, costs: Sequence[int | None]) -> RunLog:
    return RunLog.from_rows(origin, [
        record.row(origin.model, origin.engine, stop_ns, cost) for record, cost in zip(records, costs, strict=True)
    ])


def _provenance(
    profile: Any, rules: Rules, price: float | None, seed: int, replicas: int, given: Mapping[str, Any]
) -> Provenance:
    facts = {key: {"asked": value, "seen": value, "seen_via": "rules"} for key, value in as_facts(rules).items()}
    subject = getattr(profile, "subject", None)
    named = {key: getattr(subject, key, "") for key in ("model", "quant", "kv_type", "weights_id", "grown_from")}
    values: dict[str, Any] = named | {
        "engine": rules.engine, "engine_facts": facts, "seeds": {"schedule": seed},
        "profile_sha256": str(getattr(profile, "sha256", "")), "profile_source": str(getattr(profile, "source", "")),
        "price_usd_per_hour": None if price is None else price * replicas,
    }
    return collect("simulated", **(values | dict(given)))
