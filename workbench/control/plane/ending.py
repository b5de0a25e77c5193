"""How a request ends: each exactly once, with what it had reserved settled and whoever waited for it served."""

from typing import Literal

from workbench.control.limits import UnknownReservation
from workbench.control.money.errors import Conflict, NoPrice
from workbench.control.money.usage import Usage
from workbench.control.plane.desk import Desk
from workbench.control.plane.events import Answer, Charge, Finish, Reject
from workbench.control.plane.inside import Inside
from workbench.control.plane.waiting import enqueue
from workbench.control.queueing.outcome import LATE, TENANT_FULL, TOO_LATE, Dropped

BYTES_PER_TOK = 4  # of an answer kept; about what English text takes


class Kept(bytes):
    """Whose answer it is. The gateway has the answer itself; here it counts as long as it is."""

    size: int

    def __len__(self) -> int:
        return self.size


def drop(desk: Desk, now_ns: int, dropped: Dropped) -> None:
    """The queue gave it up."""
    state = desk.inside[dropped.item.request_id]
    if dropped.reason in (LATE, TOO_LATE):
        refuse(desk, now_ns, state, "expired", 504, dropped.reason)
    else:
        refuse(desk, now_ns, state, "shed", 429 if dropped.reason == TENANT_FULL else 503, dropped.reason)


def refuse(desk: Desk, now_ns: int, state: Inside, outcome: Literal["rejected", "shed", "expired"], status: int,
           reason: str, retry_after_ns: int | None = None, *, promised: bool = True) -> None:
    """It ends without a byte. After a failed attempt it is an error, and this is the reason. Not `promised`: the tier
    is only what somebody said of himself, so nothing of it is counted as missed."""
    if state.attempts:
        finish(desk, now_ns, state, "error", reason)
        return
    setattr(desk.tally, outcome, getattr(desk.tally, outcome) + 1)
    desk.decided.append(Reject(state.item.request_id, outcome, status, reason, retry_after_ns))
    _settle(now_ns, state, None)
    _over(desk, now_ns, state, outcome, served=promised)


def answer(desk: Desk, now_ns: int, state: Inside, source: Literal["cache", "flight", "device"],
           answer_of: str) -> None:
    """The request itself counts against its limits, tokens do not: nothing was computed for it here. What a device
    computes says nothing of the servers' attainment."""
    desk.tally.answered += 1
    desk.decided.append(Answer(state.item.request_id, source, answer_of))
    _settle(now_ns, state, 0)
    state.first_ns = now_ns
    _over(desk, now_ns, state, "answered", served=source != "device")


def finish(desk: Desk, now_ns: int, state: Inside, outcome: Literal["ok", "error", "cancelled"], reason: str = "",
           prompt_tok: int = 0, cached_tok: int = 0, output_tok: int = 0, cost_pusd: int = 0) -> None:
    """What the client got is charged and counted; where it got nothing, nothing is."""
    setattr(desk.tally, outcome, getattr(desk.tally, outcome) + 1)
    got = output_tok > 0
    if got and desk.billing is not None:
        reason = _charge(desk, now_ns, state, prompt_tok, cached_tok, output_tok, cost_pusd) or reason
    desk.decided.append(Finish(state.item.request_id, outcome, reason, state.attempts))
    _settle(now_ns, state, prompt_tok + output_tok if got else None)
    _over(desk, now_ns, state, outcome, output_tok=output_tok)


def _charge(desk: Desk, now_ns: int, state: Inside, prompt_tok: int, cached_tok: int, output_tok: int,
            cost_pusd: int) -> str:
    """What could not be charged, and why: counted and told, never lost in silence. Its usage is one fact of its own, by
    the order of arrival: a client that uses an id again is charged again."""
    assert desk.billing is not None  # who calls has looked
    item = state.item
    try:
        price_pusd = desk.billing.record(now_ns, Usage(
            f"{item.request_id}@{item.sequence}", now_ns, item.tenant, item.model, prompt_tok, output_tok, cached_tok,
            cost_pusd, item.user, item.request_id))
    except (NoPrice, Conflict) as error:
        desk.tally.unpriced += 1
        return f"not charged: {error}"
    desk.tally.charged_pusd += price_pusd or 0
    desk.decided.append(Charge(item.request_id, item.tenant, price_pusd or 0, cost_pusd))
    if desk.operations is not None:
        desk.operations.charged(item.tenant, price_pusd or 0)
    return ""


def _settle(now_ns: int, state: Inside, used_tok: int | None) -> None:
    """None: it never ran, and everything is given back."""
    if state.held is None or state.limits is None:
        return
    held, state.held = state.held, None
    try:
        if used_tok is None:
            state.limits.refund(now_ns, held)
        else:
            state.limits.commit(now_ns, held, used_tok)
    except UnknownReservation:
        pass  # it took longer than reservations live: all of it counts as used


def _over(desk: Desk, now_ns: int, state: Inside, outcome: str, *, output_tok: int = 0, served: bool = True) -> None:
    item, ok, met = state.item, outcome in ("ok", "answered"), None
    del desk.inside[item.request_id]
    if served and desk.sla is not None and item.tier in desk.sla.targets:
        first_ns = None if state.first_ns is None else state.first_ns - item.arrived_ns
        met = desk.sla.told(now_ns, item.tier, first_ns, now_ns - item.arrived_ns, ok)
    if served and desk.operations is not None:
        desk.operations.ended(now_ns, state, outcome, met)
    if state.cache is None or desk.cache is None or not state.leads:
        return
    if ok and item.model == state.cache.model:  # a smaller model's answer is not kept as this one's
        value = Kept(item.request_id.encode())
        value.size = max(1, output_tok * BYTES_PER_TOK)
        for name in desk.cache.fill(now_ns, state.cache, value):
            follower = desk.inside.get(name)
            if follower is not None and follower.place == "following":
                answer(desk, now_ns, follower, "flight", item.request_id)
    else:
        desk.orphans.append(state.cache)


def lead_on(desk: Desk, now_ns: int) -> None:
    """An error is nobody else's answer: the first that waited computes it. A list, not a recursion: the next may be
    shed, too."""
    while desk.orphans:
        assert desk.cache is not None  # only a leader of a flight leaves orphans
        name = desk.cache.fail(now_ns, desk.orphans.pop(0))
        if name is not None:
            state = desk.inside[name]
            state.leads = True
            for dropped in enqueue(desk, now_ns, state):
                drop(desk, now_ns, dropped)
