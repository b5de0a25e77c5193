"""Arrival: who is it, may it, is it known already, which model; then it waits in line."""

from hashlib import sha256

from workbench.control.auth.principal import Denied
from workbench.control.cache import CacheKey, Hit, Wait
from workbench.control.limits import Answer as Verdict
from workbench.control.models.registry import UnknownModel
from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import answer, drop, refuse
from workbench.control.plane.events import Arrived
from workbench.control.plane.inside import Inside
from workbench.control.plane.plan_limits import PlanLimits
from workbench.control.plane.waiting import enqueue, wait
from workbench.control.request import Waiting

STATUS = {"scope": 403, "disabled": 403, "quota": 429}  # every other reason is 401


def arrive(desk: Desk, now_ns: int, event: Arrived) -> None:
    if event.request_id in desk.inside:
        raise ValueError(f"request {event.request_id}: is inside already; every request has an id of its own")
    desk.tally.arrived += 1
    desk.sequence += 1
    if desk.retries is not None:
        desk.retries.request(now_ns)
    state = _new(desk, now_ns, event)
    desk.inside[event.request_id] = state
    revision = _known(desk, now_ns, state, event)
    if revision is None:
        return
    if not _within_limits(desk, now_ns, state):
        return
    if desk.cache is not None and event.cache and not _computes(desk, now_ns, state, event, revision):
        return
    for dropped in enqueue(desk, now_ns, state):
        drop(desk, now_ns, dropped)


def _new(desk: Desk, now_ns: int, event: Arrived) -> Inside:
    item = Waiting(
        event.request_id, event.tenant, event.tier, event.user, event.model, event.prompt_tok, event.estimated_tok,
        now_ns, event.deadline_ns, event.priority, desk.sequence, event.prefix_ids, event.session)
    return Inside(item, "", event.max_tok or event.estimated_tok)


def _known(desk: Desk, now_ns: int, state: Inside, event: Arrived) -> str | None:
    """Sets tenant, tier, class, deadline, pool and model; the model's revision, or None where it was refused."""
    if desk.auth is not None:
        who = desk.auth.authorise(now_ns, event.key, f"model:{event.model}", event.request_id)
        if isinstance(who, Denied):
            refuse(desk, now_ns, state, "rejected", STATUS.get(who.reason, 401), f"not allowed: {who.reason}")
            return None
        state.item = state.item._replace(tenant=who.tenant, user=who.user)
    if desk.tenants is not None:
        try:
            state.item = desk.tenants.stamped(state.item)
        except ValueError as error:
            refuse(desk, now_ns, state, "rejected", 403, str(error))
            return None
    state.pool = desk.tenants.pool(state.item.tenant) if desk.tenants is not None else next(iter(desk.lines))
    revision = ""
    if desk.models is not None:
        try:
            version = desk.models.resolve(now_ns, event.model, state.item.user, event.request_id).version
        except UnknownModel as error:
            refuse(desk, now_ns, state, "rejected", 404, str(error))
            return None
        if event.prompt_tok + state.most_tok > version.context_tok:
            refuse(desk, now_ns, state, "rejected", 400, f"{event.prompt_tok + state.most_tok} tokens exceed the "
                   f"context of {version.name}, {version.context_tok}")
            return None
        state.item, revision = state.item._replace(model=version.name), version.revision
    if state.pool not in desk.lines or not desk.fleet.serves(state.pool, state.item.model):
        refuse(desk, now_ns, state, "rejected", 404, f"no replica of pool {state.pool!r} serves {state.item.model!r}")
        return None
    return revision


def _within_limits(desk: Desk, now_ns: int, state: Inside) -> bool:
    """Reserves the most that it can be."""
    item, limits = state.item, desk.limits
    if isinstance(limits, PlanLimits):
        limits = limits.of(item.tenant)
    if limits is None:
        return True
    every = {"tenant": item.tenant, "user": f"{item.tenant}/{item.user}", "model": item.model}
    keys = {level.key_name: every[level.key_name] for level in limits.levels}
    held = limits.reserve(now_ns, keys, item.prompt_tok + state.most_tok)
    if isinstance(held, Verdict):
        refuse(desk, now_ns, state, "rejected", 429, f"limit: {held.level or limits.levels[0].name}",
               held.retry_after_ns)
        return False
    state.limits, state.held = limits, held
    return True


def _computes(desk: Desk, now_ns: int, state: Inside, event: Arrived, revision: str) -> bool:
    """False: the answer is there, or on its way. The key holds scope, model and revision beside what was asked."""
    assert desk.cache is not None  # who calls has looked
    item = state.item
    scope = desk.tenants.cache_scope(item.tenant) if desk.tenants is not None else f"tenant:{item.tenant}"
    text = "\0".join((scope, item.model, revision, event.cache))
    state.cache = CacheKey(item.model, revision, sha256(text.encode()).hexdigest())
    found = desk.cache.look(now_ns, state.cache, item.request_id)
    if isinstance(found, Hit):
        answer(desk, now_ns, state, "cache", bytes(found.value).decode())
        return False
    if isinstance(found, Wait):
        wait(desk, state, "following")
        return False
    state.leads = True
    return True
