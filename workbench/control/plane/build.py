"""A control plane made of plain facts, as a TOML's `[control]` table holds them: policies by name with parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.control.auth.manager import UserManager
from workbench.control.limits import Level, Limits
from workbench.control.limits.answer import whole
from workbench.control.money.billing import Billing
from workbench.control.plane.at import at
from workbench.control.plane.billing import billing_of
from workbench.control.plane.desk import Desk
from workbench.control.plane.draws import Draws
from workbench.control.plane.fleet import Fleet
from workbench.control.plane.gate import Gate, Running
from workbench.control.plane.keys import DigestKeys
from workbench.control.plane.lines import Line
from workbench.control.plane.operations.build import operations_of
from workbench.control.plane.plan_limits import PlanLimits
from workbench.control.plane.plane import ControlPlane
from workbench.control.queueing.manager import QueueManager
from workbench.control.registry import known, made, make
from workbench.control.routing.health import Ejection
from workbench.control.tenants.book import Tenants
from workbench.control.tenants.standard import FACTS

TABLES = ("alarms", "allocator", "auth", "autoscale", "billing", "breaker", "cache", "canary", "cluster", "custom",
          "ejection", "hedging", "hybrid", "limits", "models", "queue", "replicas", "retries", "routing", "scheduling",
          "seed", "sla", "tenants", "window")
KEYS = ("tenant", "user", "model")  # of a limit's levels
MOST_REPLICAS = 100_000
MOST_WINDOW = 1_000_000_000
Facts = Mapping[str, Any]
Custom = Mapping[str, Any]  # kind -> class, from the user's own file


def plane_of(facts: Facts, custom: Custom | None = None) -> ControlPlane:
    """A fresh one. Without more than `replicas` it is a queue in order of arrival and the least busy replica.

    ValueError with one line, and a suggestion, for a name or a parameter that nobody knows. `custom`: the class to
    take for `scheduling` or `routing`, from the user's own file.
    """
    known("control", facts, TABLES)
    _sizes(facts)
    custom, seed = custom or {}, facts.get("seed", 0)
    for kind, about in facts.get("custom", {}).items():
        if kind not in custom:
            raise ValueError(f"control.{kind}: came from a file of your own, {about}; give that file again")
    if "window" in facts:
        whole("control.window", facts["window"])
    fleet = _fleet(facts)
    tenants = _tenants(facts, fleet)
    running = _running(tenants)
    lines = {pool: _line(pool, _queue(facts, custom, tenants, pool), fleet, running) for pool in sorted(fleet.pools)}
    desk = Desk(
        fleet, lines, _policy("routing", facts, custom, "least_outstanding", {"randomness": Draws(seed, "routing")}),
        auth=_auth(facts), tenants=tenants, limits=_limits(facts, tenants), cache=_cache(facts),
        models=_part(facts, "models"), allocator=_allocator(facts),
        retries=_part(facts, "retries", {"randomness": Draws(seed, "retries")}), hedging=_part(facts, "hedging"),
        running=running, billing=_billing(facts),
        sla=_sla(facts, tenants), hybrid=_part(facts, "hybrid"),
    )
    desk.operations = operations_of(facts, desk)
    return ControlPlane(desk)


def _sizes(facts: Facts) -> None:
    """What takes memory for each before anything happens."""
    for key, most in (("replicas", MOST_REPLICAS), ("window", MOST_WINDOW)):
        value = facts.get(key)
        count = len(value) if isinstance(value, Sequence) else value
        if isinstance(count, int) and count > most:
            raise ValueError(f"control.{key}: {count} is more than the {most} that a plane can hold")
    if not isinstance(facts.get("custom", {}), Mapping):
        raise ValueError(f"control.custom: {facts['custom']!r:.60} is no table of policies")


@at("replicas")
def _fleet(facts: Facts) -> Fleet:
    return Fleet(facts.get("replicas", 1), facts.get("window"), _part(facts, "breaker"), _ejection(facts))


def _ejection(facts: Facts) -> Callable[[], Ejection] | None:
    return (lambda: _part(facts, "ejection")) if "ejection" in facts else None


def _running(tenants: Tenants | None) -> Running | None:
    """None: no plan bounds how many of a tenant's requests are out at once."""
    if tenants is None:
        return None
    plans = [tenants.plan(name) for name in tenants.names]
    if tenants.default_tier is not None:
        plans.append(tenants.tiers[tenants.default_tier])
    bound = any(plan.concurrent is not None for plan in plans)
    return Running(lambda tenant: tenants.plan(tenant).concurrent) if bound else None


def _line(pool: str, queue: QueueManager, fleet: Fleet, running: Running | None) -> Line:
    """With a gate where some of those that wait could go while others cannot."""
    for model, small in queue.smaller.items():
        if fleet.serves(pool, model) and not fleet.serves(pool, small):
            raise ValueError(f"control.queue.smaller.{model}: {small!r} is served by no replica of pool {pool!r}; name "
                             "it in the models of one, or leave it out")
    gate = Gate(pool, fleet, running)
    needed = fleet.mixed or running is not None
    return Line(pool, queue, gate if needed and queue.split(gate.lane) else None)


def _part(facts: Facts, name: str, given: Facts | None = None) -> Any:
    return None if name not in facts else at(name)(_made)(facts, name, given)


def _made(facts: Facts, name: str, given: Facts | None) -> Any:
    return make("part", name, facts[name], given)


def _policy(kind: str, facts: Facts, custom: Custom, default: str, given: Facts) -> Any:
    return at(kind)(_chosen)(facts, kind, custom, default, given)


def _chosen(facts: Facts, kind: str, custom: Custom, default: str, given: Facts) -> Any:
    """`{name, parameters}`, or a bare name."""
    chosen = facts.get(kind, default)
    if isinstance(chosen, str):
        chosen = {"name": chosen}
    known(f"control.{kind}", chosen, ("name", "parameters"))
    parameters = chosen.get("parameters", {})
    if kind in custom:
        return made(f"{kind} of your own file", custom[kind], parameters, given)
    return make(kind, chosen.get("name", default), parameters, given)


@at("tenants")
def _tenants(facts: Facts, fleet: Fleet) -> Tenants | None:
    """`tenants = "standard"` are Free, Pro and Enterprise; `standard = true` beside tenants adds these to them."""
    given = facts.get("tenants")
    if given is None:
        if "shared" not in fleet.pools:
            raise ValueError("replicas: without tenants every replica is of pool 'shared'")
        return None
    if given == "standard":
        given = {"standard": True}
    own = {key: value for key, value in given.items() if key != "standard"}
    base = FACTS if given.get("standard", False) else {}
    tenants = Tenants.from_facts({**base, **own, "tiers": {**base.get("tiers", {}), **own.get("tiers", {})}})
    for name in tenants.names:
        if tenants.pool(name) not in fleet.pools:
            raise ValueError(f"tenants.{name}: needs replicas of pool {tenants.pool(name)!r}; the fleet has "
                             f"{', '.join(sorted(fleet.pools))}")
    return tenants


@at("queue")
def _queue(facts: Facts, custom: Custom, tenants: Tenants | None, pool: str) -> QueueManager:
    """Fair orders take their weights, and the queue its bounds, from the tenants where nothing else is said."""
    parameters = dict(facts.get("queue", {}))
    given: dict[str, Any] = {}
    if tenants is not None:
        chosen = facts.get("scheduling", "fifo")
        own = chosen.get("parameters", {}) if isinstance(chosen, Mapping) else {}
        for name, values in (("weights", tenants.weights()), ("tier_weights", tenants.tier_weights())):
            if name not in own:
                given[name] = values
        parameters.setdefault("tenant_limits", tenants.waiting_limits())
    given["randomness"] = Draws(facts.get("seed", 0), f"scheduling/{pool}")
    queue: QueueManager = make("part", "queue", parameters,
                               {"order": _policy("scheduling", facts, custom, "fifo", given)})
    return queue


@at("auth")
def _auth(facts: Facts) -> UserManager | None:
    raw = facts.get("auth")
    if raw is None:
        return None
    known("control.auth", raw, ("keys", "quotas"))
    quotas = None if "quotas" not in raw else make("part", "quotas", raw["quotas"])
    return UserManager([DigestKeys(raw.get("keys", ()))], quotas=quotas)


@at("limits")
def _limits(facts: Facts, tenants: Tenants | None) -> Limits | PlanLimits | None:
    """`limits = "plan"`: as the tenants' plans say. Else `levels`, each with a meter by name."""
    raw = facts.get("limits")
    if raw is None:
        return None
    if not isinstance(raw, Mapping) and raw != "plan":
        raise ValueError(f"limits: {raw!r}: must be 'plan', or a table with levels")
    if raw == "plan":
        if tenants is None:
            raise ValueError("limits 'plan': there are no tenants to take it from")
        return PlanLimits(tenants)
    parameters = dict(raw)
    levels = []
    for i, level in enumerate(parameters.pop("levels", ())):
        known(f"control.limits.levels.{i}", level, ("name", "meter", "parameters", "by", "counts"))
        by = level.get("by", level.get("name", ""))
        if by not in KEYS:
            raise ValueError(f"limits.levels.{i}.by: {by!r} is unknown; known: {', '.join(KEYS)}")
        if level.get("counts", "amount") not in ("amount", "requests"):
            raise ValueError(f"limits.levels.{i}.counts: {level['counts']!r} is unknown; known: amount, requests")
        meter = make("meter", level.get("meter", "gcra"), level.get("parameters"))
        levels.append(Level(level.get("name", by), meter, by, level.get("counts", "amount")))
    limits: Limits = make("part", "limits", parameters, {"levels": levels})
    return limits


@at("cache")
def _cache(facts: Facts) -> Any:
    raw = facts.get("cache")
    if raw is None:
        return None
    parameters = dict(raw)
    chosen = parameters.pop("eviction", "lru")
    chosen = {"name": chosen} if isinstance(chosen, str) else chosen
    eviction = make("eviction", chosen.get("name", "lru"), chosen.get("parameters"))
    return make("part", "cache", parameters, {"eviction": eviction})


@at("allocator")
def _allocator(facts: Facts) -> Any:
    """Guarantees evict who borrowed, also after the first byte: not here, where that is never done."""
    if facts.get("allocator", {}).get("guarantees"):
        raise ValueError("allocator.guarantees: the plane takes nothing back from who runs; leave them out")
    return _part(facts, "allocator")


@at("billing")
def _billing(facts: Facts) -> Billing | None:
    return billing_of(facts["billing"]) if "billing" in facts else None


@at("sla")
def _sla(facts: Facts, tenants: Tenants | None) -> Any:
    """Targets are the tiers' where nothing else is said."""
    if "sla" not in facts:
        return None
    parameters = dict(facts["sla"])
    if tenants is not None:
        parameters.setdefault("targets", tenants.targets())
    return make("part", "sla", parameters)
