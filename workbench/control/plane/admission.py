"""Arrival: who is it, may it, is it known already, which model; then it waits in line."""

from hashlib import sha256

from workbench.control.auth.principal import Denied
from workbench.control.cache import CacheKey, Hit, Wait
from workbench.control.limits import Answer as Verdict
from workbench.control.models.registry import UnknownModel
from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import answer, drop, refuse
from workbench.control.plane.events import Arrived
from workbench.control.plane.hybrid import computed_there
from workbench.control.plane.inside import Inside
from workbench.control.plane.plan_limits import PlanLimits
from workbench.control.plane.waiting import enqueue, wait
from workbench.control.request import Waiting

STATUS = {"scope": 403, "disabled": 403, "quota": 429}  # every other reason is 401


def arrive(desk: Desk, now_ns: int, event: Arrived) -> None:
    """The plane has seen to it that nobody of this id is inside."""
    desk.tally.arrived += 1
    desk.sequence += 1
    if desk.retries is not None:
        desk.retries.request(now_ns)
    state, revision, refusal = _known(desk, now_ns, event)
    desk.inside[event.request_id] = state
    if desk.operations is not None:
        desk.operations.arrived(state)
    if refusal is not None:
        refuse(desk, now_ns, state, "rejected", *refusal, promised=False)
        return
    if desk.limits is not None and not _within_limits(desk, now_ns, state):
        return
    if (event.device or event.keep == "device") and computed_there(desk, now_ns, state, event):
        return
    if desk.cache is not None and event.cache and not _computes(desk, now_ns, state, event, revision):
        return
    for dropped in enqueue(desk, now_ns, state):
        drop(desk, now_ns, dropped)


def _known(desk: Desk, now_ns: int, event: Arrived) -> tuple[Inside, str, tuple[int, str] | None]:
    """The request with its tenant, tier, class, deadline, pool and model; the model's revision; why it is refused."""
    (name, tenant, user, key, tier, model, prompt_tok, estimated_tok, max_tok, deadline_ns, priority, _, session,
     prefix_ids, _, _) = event
    refusal, revision, most_tok = None, "", max_tok or estimated_tok
    if desk.auth is not None:
        who = desk.auth.authorise(now_ns, key, f"model:{model}", name)
        if isinstance(who, Denied):
            refusal = STATUS.get(who.reason, 401), f"not allowed: {who.reason}"
        else:
            tenant, user = who.tenant, who.user
    if desk.models is not None and refusal is None:
        try:
            version = desk.models.resolve(now_ns, model, user, name).version
            model, revision = version.name, version.revision
            if prompt_tok + most_tok > version.context_tok:
                refusal = 400, f"{prompt_tok + most_tok} tokens exceed the context of {model}, {version.context_tok}"
        except UnknownModel as error:
            refusal = 404, str(error)
    pool = ""
    if refusal is None:
        if desk.tenants is None:
            pool = next(iter(desk.lines))
        else:
            try:
                tier, priority, deadline_ns = desk.tenants.stamp(tenant, now_ns, priority, deadline_ns)
                pool = desk.tenants.pool(tenant)
            except ValueError as error:
                refusal = 403, str(error)
        if refusal is None and (pool not in desk.lines or not desk.fleet.serves(pool, model)):
            refusal = 404, f"no replica of pool {pool!r} serves {model!r}"
    item = Waiting(name, tenant, tier, user, model, prompt_tok, estimated_tok, now_ns, deadline_ns, priority,
                   desk.sequence, prefix_ids, session)
    return Inside(item, pool, most_tok), revision, refusal


def _within_limits(desk: Desk, now_ns: int, state: Inside) -> bool:
    """Reserves the most that it can be."""
    item, limits = state.item, desk.limits
    if isinstance(limits, PlanLimits):
        limits = limits.of(item.tenant)
    if limits is None:
        return True
    keys = dict[str, str]()
    for level in limits.levels:
        by = level.key_name
        keys[by] = item.tenant if by == "tenant" else item.model if by == "model" else f"{item.tenant}/{item.user}"
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
