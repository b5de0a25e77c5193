"""Operations of plain facts: `autoscale`, `alarms`, `canary` and `cluster` of a `[control]` table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.control.anomaly.burn import MINUTE, RULES, BurnRate, Rule
from workbench.control.capacity.protocol import Autoscaler
from workbench.control.capacity.scale_in import ScaleIn
from workbench.control.capacity.steady import Steady
from workbench.control.models.canary import Canary
from workbench.control.plane.at import at
from workbench.control.plane.desk import Desk
from workbench.control.plane.operations.alarms import Alarms
from workbench.control.plane.operations.autoscale import Scaler
from workbench.control.plane.operations.budgets import Budget
from workbench.control.plane.operations.cluster import Cluster
from workbench.control.plane.operations.counts import SIGNALS
from workbench.control.plane.operations.members import Members
from workbench.control.plane.operations.operations import Operations
from workbench.control.plane.operations.rollout import Rollout
from workbench.control.registry import known, made, make

TABLES = ("alarms", "autoscale", "canary", "cluster")
STEADY = ("least", "most", "in_ns", "out_ns", "most_in", "most_out")
EVERY_NS = 15 * 10**9  # kubernetes.io, Horizontal Pod Autoscaling, --horizontal-pod-autoscaler-sync-period
Facts = Mapping[str, Any]


def operations_of(facts: Facts, desk: Desk) -> Operations | None:
    """None: nobody asked for any, and no replica waits for its start. ValueError, in one line."""
    if not any(name in facts for name in TABLES) and all(spec.started for spec in desk.fleet.specs):
        return None
    members = Members(desk)
    if "cluster" in facts:
        members.cluster = _part(facts, "cluster", lambda raw: made(
            "control.cluster", Cluster, raw, {"desk": desk, "members": members}))
    return Operations(
        desk, members, members.cluster,
        _part(facts, "autoscale", lambda raw: _scalers(raw, desk, members)) if "autoscale" in facts else {},
        _part(facts, "canary", lambda raw: _rollout(raw, desk)) if "canary" in facts else None,
        _part(facts, "alarms", lambda raw: _alarms(raw, desk, members)) if "alarms" in facts else None)


def _part(facts: Facts, name: str, build: Callable[[Any], Any]) -> Any:
    """Its errors begin with `control.NAME`."""
    return at(name)(lambda table: build(table[name]))(facts)


def _named(kind: str, place: str, raw: Any, given: Facts | None = None) -> Any:
    """`{name, parameters}`, or a bare name."""
    chosen: Facts = {"name": raw} if isinstance(raw, str) else raw
    known(place, chosen, ("name", "parameters"))
    if "name" not in chosen:
        raise ValueError(f"{place}: has no name; write {{ name = ..., parameters = {{ ... }} }}")
    return make(kind, chosen["name"], chosen.get("parameters"), given)


def _scalers(raw: Facts | Sequence[Facts], desk: Desk, members: Members) -> dict[str, Scaler]:
    """One table, or one for each pool; in the order of the pools' names."""
    scalers: dict[str, Scaler] = {}
    for table in [raw] if isinstance(raw, Mapping) else raw:
        pool = table.get("pool", "shared")
        if pool not in desk.fleet.pools:
            raise ValueError(f"autoscale.pool: {pool!r} has no replicas; the fleet has "
                             f"{', '.join(sorted(desk.fleet.pools))}")
        if pool in scalers:
            raise ValueError(f"autoscale.pool: {pool!r} has two autoscalers")
        try:
            scalers[pool] = _scaler(table, pool, desk, members)
        except ValueError as error:
            raise type(error)(f"autoscale of pool {pool}: {error}") from None
    return dict(sorted(scalers.items()))


def _scaler(table: Facts, pool: str, desk: Desk, members: Members) -> Scaler:
    known("control.autoscale", table, ("pool", "policy", "every_ns", "young_ns", "slots", "load", *STEADY))
    there, slots = len(desk.fleet.pools[pool]), table.get("slots", desk.fleet.window)
    if table.get("most", there) > there:
        raise ValueError(f"most: {table['most']} is more than the pool's {there} replicas; add some, started = false")
    if slots is None:
        raise ValueError("slots: say how many requests a replica holds, as there is no window")
    steady = Steady(_autoscaler(table.get("policy", "target_tracking")),
                    **{"most": there, **{name: table[name] for name in STEADY if name in table}})
    return Scaler(desk, members, pool, steady, table.get("every_ns", EVERY_NS), ScaleIn(table.get("young_ns", 0)),
                  slots, table.get("load", "outstanding"))


def _autoscaler(raw: Any) -> Autoscaler:
    """A predictive one is handed its forecaster."""
    given = {}
    if isinstance(raw, Mapping) and "forecaster" in raw.get("parameters", {}):
        parameters = dict(raw["parameters"])
        given["forecaster"] = _named("forecaster", "control.autoscale.policy.forecaster", parameters.pop("forecaster"))
        raw = {**raw, "parameters": parameters}
    autoscaler: Autoscaler = _named("autoscaler", "control.autoscale.policy", raw, given)
    return autoscaler


def _rollout(raw: Facts, desk: Desk) -> Rollout:
    known("control.canary", raw, ("alias", "baseline", "canary", "begin_ns", "parameters"))
    if desk.models is None:
        raise ValueError("canary: needs [control.models] with both versions")
    named = {name: raw[name] for name in ("alias", "baseline", "canary") if name in raw}
    canary = made("control.canary", Canary, {**named, **raw.get("parameters", {})}, {"registry": desk.models})
    return Rollout(desk, canary, raw.get("begin_ns", 0))


def _alarms(raw: Facts, desk: Desk, members: Members) -> Alarms:
    parameters = dict(raw)
    changes = []
    for i, one in enumerate(parameters.pop("changes", ())):
        place = f"control.alarms.changes.{i}"
        known(place, one, ("signal", "detector"))
        if one.get("signal") not in SIGNALS:
            raise ValueError(f"{place}.signal: {one.get('signal')!r} is unknown; known: {', '.join(SIGNALS)}")
        changes.append((one["signal"], _named("detector", f"{place}.detector", one.get("detector", "cusum"))))
    burn = _burn(parameters.pop("burn"), desk) if "burn" in parameters else {}
    budgets = {}
    for name, one in parameters.pop("budgets", {}).items():
        values = dict(one)
        tenant = values.pop("tenant", "")
        if tenant and desk.billing is None:
            raise ValueError(f"alarms.budgets.{name}.tenant: nobody is charged without [control.billing]")
        if not tenant and not parameters.get("pusd_per_replica_s"):
            raise ValueError(f"alarms.budgets.{name}: name its tenant, or give alarms.pusd_per_replica_s")
        budgets[name] = tenant, made(f"control.alarms.budgets.{name}", Budget, values)
    alarms: Alarms = made("control.alarms", Alarms, parameters, {
        "desk": desk, "members": members, "changes": changes, "burn": burn, "budgets": budgets})
    return alarms


def _burn(raw: Facts, desk: Desk) -> dict[str, BurnRate]:
    """One for each tier with targets. `objective_ppm`: instead of the tiers' own `target_ppm`."""
    known("control.alarms.burn", raw, ("objective_ppm", "rules", "step_ns"))
    if desk.sla is None:
        raise ValueError("alarms.burn: needs [control.sla], whose targets are met or missed")
    rules = [made(f"control.alarms.burn.rules.{i}", Rule, one) for i, one in enumerate(raw.get("rules", ()))]
    found = {}
    for tier, target in desk.sla.targets.items():
        try:
            found[tier] = BurnRate(raw.get("objective_ppm", target.target_ppm), rules or RULES,
                                   raw.get("step_ns", MINUTE))
        except ValueError as error:
            raise ValueError(f"alarms.burn of tier {tier}: {error}") from None
    return found
