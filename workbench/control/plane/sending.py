"""An attempt begins at a replica, and is over there: place, memory and share are taken and given back, each once."""

from workbench.control.plane.desk import Desk
from workbench.control.plane.events import Cancel, Release
from workbench.control.plane.inside import Inside


def send(desk: Desk, now_ns: int, state: Inside, replica: int) -> None:
    """Its memory is reserved already."""
    item = state.item
    state.attempts += 1
    attempt = state.attempts
    state.out[attempt] = replica
    state.place = "out"
    desk.fleet.taken(replica, item.prompt_tok + item.estimated_tok)
    desk.fleet.sent(now_ns, replica, item.request_id, attempt)
    if desk.running is not None:
        desk.running.began(item.tenant)
    if desk.hedging is not None and attempt == 1 and _may_hedge(desk, item.tenant):
        desk.hedging.sent(now_ns, item.request_id, "1")
        state.hedging = True
    desk.tally.released += 1
    desk.decided.append(Release(item.request_id, attempt, replica, item.model))


def take_back(desk: Desk, now_ns: int, state: Inside, attempt: int, why: str) -> None:
    """Cancelled at its replica: its place is free at once, and it is charged what is known to have come out."""
    replica = settle(desk, now_ns, state, attempt, 0 if not state.sent_tok else state.item.prompt_tok, state.sent_tok)
    desk.fleet.done(now_ns, replica, state.item.request_id, attempt, "cancelled")
    goes_on(desk, now_ns, state, attempt)
    desk.decided.append(Cancel(state.item.request_id, attempt, replica, why))


def settle(desk: Desk, now_ns: int, state: Inside, attempt: int, prompt_tok: int, output_tok: int) -> int:
    """An attempt is over, however: its place and its memory are given back, and its share with the last one that is
    out. Where it was."""
    item, replica = state.item, state.out.pop(attempt)
    desk.fleet.freed(replica, item.prompt_tok + item.estimated_tok)
    if desk.running is not None:
        desk.running.ended(item.tenant)
    if desk.allocator is not None:
        name = holding(state, attempt)
        if desk.allocator.get(name) is not None:
            desk.allocator.release(now_ns, name)
    if state.out:
        state.spent = state.spent[0] + prompt_tok, state.spent[1] + output_tok
    else:
        prompt_tok, output_tok = prompt_tok + state.spent[0], output_tok + state.spent[1]
        state.spent = 0, 0
        desk.lines[state.pool].queue.charge(now_ns, item.request_id, prompt_tok, output_tok)
    desk.tally.left += 1
    return replica


def goes_on(desk: Desk, now_ns: int, state: Inside, attempt: int) -> bool:
    """This attempt ended without a byte: does another one of it run?"""
    if not state.hedging or desk.hedging is None:
        return False
    state.hedging = not desk.hedging.over(now_ns, state.item.request_id, str(attempt))
    return state.hedging


def holding(state: Inside, attempt: int) -> str:
    """Under which name the allocator knows it."""
    return f"{state.item.request_id}#{attempt}" if attempt and attempt == state.hedge else state.item.request_id


def _may_hedge(desk: Desk, tenant: str) -> bool:
    """The plan says so; without tenants everybody may."""
    return desk.tenants is None or desk.tenants.enabled(tenant, "hedging")
