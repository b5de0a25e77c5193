"""`simulate`: a schedule, a profile and an engine's rules in; a run log like any other out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sims.cluster import Cluster
from sims.cost import apportion, fleet_pusd
from sims.macro.collect import collect_segments
from sims.overheads import Overheads
from sims.record import NEVER, Record
from sims.replica import IterationTime
from sims.result import SimResult, check_laws
from sims.rules import Rules, as_facts
from sims.station import Mode
from workbench.control.journal import Journal, Setup
from workbench.errors import UsageError
from workbench.runlog.provenance import Provenance, collect
from workbench.runlog.schema import Planned

JOURNAL_UP_TO = 100_000  # requests; above, a journal is kept only when asked for


def simulate(
    schedule: Sequence[Planned], profile: IterationTime, rules: Rules, *,
    replicas: int = 1, queue: str = "fcfs", router: str = "least_loaded", window: int | None = None,
    queue_with: Mapping[str, Any] | None = None, router_with: Mapping[str, Any] | None = None,
    arrivals_ns: Sequence[int] | None = None, concurrency: int | None = None, horizon_ns: int | None = None,
    overheads: Overheads | None = None, price_usd_per_hour: float | None = None, seed: int = 0,
    keep_journal: bool | None = None, keep_iterations: bool = False, provenance: Mapping[str, Any] | None = None,
    about: Any = None, mode: Mode = "macro",
) -> SimResult:
    """Run the schedule to its end, or to the horizon: then what is inside stays in the log as `unfinished`.

    Requests arrive at `arrivals_ns` (default: their `intended_ns`), or one for one in a closed loop of
    `concurrency`. `overheads` default to the profile's. `price_usd_per_hour` is that of one replica; the fleet's
    cost over the run, idle time included, is split by the time that each request spent in an engine.
    `seed` is the schedule's, for the provenance: nothing here is random. `about` is the profile that the provenance
    names, where `profile` only wraps it. A later turn of a session comes its `think_ns` after the turn before it has
    ended, and a place of a closed loop is a session's until its last turn has. `mode` macro jumps over iterations in
    which nothing is decided, iteration does not, oracle is the plain implementation that both must equal; the result
    says what ran. Raises UsageError.
    """
    times = _arrivals(schedule, arrivals_ns, concurrency)
    setup = Setup(queue, router, replicas, window, dict(queue_with or {}), dict(router_with or {}))
    try:
        door = setup.front_door()
    except (TypeError, ValueError) as error:
        raise UsageError(f"policies: {error}") from None
    cluster = Cluster(
        schedule, times, door, rules, profile, overheads or Overheads.of(profile), replicas=replicas,
        concurrency=concurrency, keep_iterations=keep_iterations, mode=mode,
        keep_journal=len(schedule) <= JOURNAL_UP_TO if keep_journal is None else keep_journal,
    )
    stop_ns = cluster.run(horizon_ns)
    overheads, record = cluster.overheads, cluster.record
    record.segments = collect_segments(cluster.stations, len(schedule), overheads.out_ns, stop_ns)
    check_laws(record, cluster.area_ns, stop_ns)
    named = profile if about is None else about
    origin = _provenance(named, rules, price_usd_per_hour, seed, replicas, provenance or {})
    found = SimResult(
        log=record.log(origin, _costs(record, price_usd_per_hour, replicas, stop_ns)),
        setup=setup, journal=None if cluster.journal is None else Journal(setup, tuple(cluster.journal)),
        iterations=tuple(station.iterations for station in cluster.stations),
        busy_ns=tuple(station.busy_ns(stop_ns) for station in cluster.stations),
        sequences=tuple(station.sequences for station in cluster.stations),
        preemptions=sum(station.preemptions for station in cluster.stations),
        stop_ns=stop_ns, area_ns=cluster.area_ns, events=cluster.clock.events,
        trace=None if cluster.trace is None else tuple(cluster.trace), mode=cluster.mode, why=cluster.why_oracle,
    )
    cluster.forget()
    return found


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
        if planned.after:
            times.append(0)  # never read: it comes when the turn before it has ended
            continue
        when_ns = planned.intended_ns if arrivals_ns is None else arrivals_ns[i]
        if when_ns is None or when_ns < 0:
            raise UsageError(f"{planned.request_id}: arrives at {when_ns}; give a time of at least 0, or a concurrency")
        times.append(when_ns)
    return times


def _costs(record: Record, price: float | None, replicas: int, stop_ns: int) -> list[int] | None:
    """By the time in an engine: from a request's first prompt token to its last token, or to the stop."""
    if price is None:
        return None
    start, left = record.column("start_ns"), record.column("left_ns")
    inside_ns = np.where(start == NEVER, 0, np.where(left == NEVER, stop_ns, left) - start)
    return apportion(fleet_pusd(price, replicas, stop_ns), inside_ns.tolist())


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
