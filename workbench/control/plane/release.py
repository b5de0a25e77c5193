"""From the line to a replica: the scheduler says who, the allocator whether, the router where."""

from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import drop, refuse
from workbench.control.plane.events import Cancel, Release
from workbench.control.plane.inside import Inside
from workbench.control.plane.lines import Line
from workbench.control.plane.waiting import enqueue, wait
from workbench.control.resources.holding import Refusal
from workbench.control.routing.protocol import Candidate


def release(desk: Desk, now_ns: int) -> None:
    """Until nobody waits or nobody has a place."""
    desk.fleet.blocked = False
    for line in desk.lines.values():
        while line.held is not None or len(line.queue):
            candidates = desk.fleet.candidates(now_ns, line.pool)
            if not candidates:
                if line.held is None and _preempt(desk, now_ns, line):
                    continue
                break
            if not _next(desk, now_ns, line, candidates):
                break


def _next(desk: Desk, now_ns: int, line: Line, candidates: list[Candidate]) -> bool:
    """False: who is next has to wait for a place."""
    state = line.held
    if state is None:
        popped = line.queue.pop(now_ns)
        for dropped in popped.dropped:
            drop(desk, now_ns, dropped)
        if popped.item is None:
            return True
        state = desk.inside[popped.item.request_id]
    item = state.item
    able = desk.fleet.fit(candidates, item.model, state.tried)
    if not able:
        return _hold(desk, line, state)
    if desk.allocator is not None:
        granted = desk.allocator.reserve(
            now_ns, item.request_id, item.tenant, item.prompt_tok + state.most_tok, item.priority)
        if isinstance(granted, Refusal):
            if granted.why != "never":
                return _hold(desk, line, state)
            line.held = None
            line.queue.charge(now_ns, item.request_id, 0, 0)
            refuse(desk, now_ns, state, "rejected", 413, f"needs more than all the memory of the fleet: {granted.room}")
            return True
    line.held = None
    _send(desk, now_ns, state, desk.router.pick(now_ns, item, able))
    return True


def _hold(desk: Desk, line: Line, state: Inside) -> bool:
    if line.held is None:
        line.held = state
        wait(desk, state, "held")
    return False


def _send(desk: Desk, now_ns: int, state: Inside, replica: int) -> None:
    item = state.item
    state.attempts += 1
    state.out[state.attempts] = replica
    state.place = "out"
    desk.fleet.taken(replica, item.prompt_tok + item.estimated_tok)
    if desk.fleet.breaker is not None:
        desk.fleet.breaker.sent(now_ns, replica, f"{item.request_id}#{state.attempts}")
    desk.tally.released += 1
    desk.decided.append(Release(item.request_id, state.attempts, replica, item.model))


def _preempt(desk: Desk, now_ns: int, line: Line) -> bool:
    """A place for the next, where the order takes one back; only of those whose client has no byte yet."""
    order = line.queue.order
    if not getattr(order, "preempt", False):
        return False
    running = [state.item for state in desk.inside.values()
               if state.place == "out" and state.pool == line.pool and not state.sent_tok]
    victim = order.victim(now_ns, running)  # type: ignore[attr-defined]
    if victim is None:
        return False
    state = desk.inside[victim.request_id]
    for attempt in list(state.out):
        take_back(desk, now_ns, state, attempt, "preempted")
    for dropped in enqueue(desk, now_ns, state):
        drop(desk, now_ns, dropped)
    return True


def take_back(desk: Desk, now_ns: int, state: Inside, attempt: int, why: str) -> None:
    """Cancelled at its replica: its place is free at once, and it is charged what is known to have come out."""
    replica = settle(desk, now_ns, state, attempt, 0 if not state.sent_tok else state.item.prompt_tok, state.sent_tok)
    if desk.fleet.breaker is not None:
        desk.fleet.breaker.done(now_ns, replica, f"{state.item.request_id}#{attempt}", "cancelled")
    desk.decided.append(Cancel(state.item.request_id, attempt, replica, why))


def settle(desk: Desk, now_ns: int, state: Inside, attempt: int, prompt_tok: int, output_tok: int) -> int:
    """An attempt is over, however: its place, its memory and its share are given back. Where it was."""
    item, replica = state.item, state.out.pop(attempt)
    desk.fleet.freed(replica, item.prompt_tok + item.estimated_tok)
    if desk.allocator is not None and desk.allocator.get(item.request_id) is not None:
        desk.allocator.release(now_ns, item.request_id)
    desk.lines[state.pool].queue.charge(now_ns, item.request_id, prompt_tok, output_tok)
    desk.tally.left += 1
    return replica
