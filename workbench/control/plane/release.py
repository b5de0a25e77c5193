"""From the line to a replica: the scheduler says who, the allocator whether, the router where."""

from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import drop, refuse
from workbench.control.plane.inside import Inside
from workbench.control.plane.lines import Line
from workbench.control.plane.sending import holding, send, take_back
from workbench.control.plane.waiting import enqueue, wait
from workbench.control.request import Waiting
from workbench.control.resources.holding import Refusal
from workbench.control.routing.protocol import Candidate
from workbench.control.scheduling.ordered import Preempting


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
    """False: nobody who could go has a place, or who is next has to wait for memory."""
    state, able = line.held, None
    if line.gate is not None:
        able = line.gate.open(candidates)
        if state is not None and not able(line.gate.lane(state.item)):
            line.held, state.place = None, "queued"  # it waits for a place again: others go before it meanwhile
            line.queue.put_back(now_ns, state.item)
            state = None
    if state is None:
        popped = line.queue.pop(now_ns, able)
        for dropped in popped.dropped:
            drop(desk, now_ns, dropped)
        if popped.item is None:
            return able is None or _preempt(desk, now_ns, line)
        state = desk.inside[popped.item.request_id]
    item = state.item
    fit = desk.fleet.fit(candidates, item.model, state.tried)
    if not fit or (desk.running is not None and not desk.running.may(item.tenant)):
        return _hold(desk, line, state)  # only in an order that cannot be split
    if desk.allocator is not None:
        granted = desk.allocator.reserve(
            now_ns, holding(state, 0), item.tenant, item.prompt_tok + state.most_tok, item.priority)
        if isinstance(granted, Refusal):
            if granted.why != "never":
                return _hold(desk, line, state)
            line.held = None
            line.queue.charge(now_ns, item.request_id, 0, 0)
            refuse(desk, now_ns, state, "rejected", 413, f"needs more than all the memory of the fleet: {granted.room}")
            return True
    line.held = None
    send(desk, now_ns, state, desk.router.pick(now_ns, item, fit))
    return True


def _hold(desk: Desk, line: Line, state: Inside) -> bool:
    if line.held is None:
        line.held = state
        wait(desk, state, "held")
    return False


def _preempt(desk: Desk, now_ns: int, line: Line) -> bool:
    """A place for the next, where the order takes one back; only of those whose client has no byte yet, and only
    where the next may go."""
    order = line.queue.order
    if not getattr(order, "preempt", False):
        return False
    first: Waiting | None = None
    if line.gate is not None:
        if not isinstance(order, Preempting):  # of the user's own: it cannot say who of those that may go is next
            return False
        first = order.peek_able(now_ns, line.gate.allowed)
        if first is None:
            return False
    running = [state.item for state in desk.inside.values()
               if state.place == "out" and state.pool == line.pool and not state.sent_tok
               and _frees(desk, now_ns, state, first)]
    victim = order.victim(now_ns, running, first) if first else order.victim(now_ns, running)  # type: ignore[attr-defined]
    if victim is None:
        return False
    state = desk.inside[victim.request_id]
    for attempt in list(state.out):
        take_back(desk, now_ns, state, attempt, "preempted")
    for dropped in enqueue(desk, now_ns, state):
        drop(desk, now_ns, dropped)
    return True


def _frees(desk: Desk, now_ns: int, state: Inside, first: Waiting | None) -> bool:
    """A place where the next can go."""
    for replica in state.out.values():
        if desk.fleet.takes(now_ns, replica) and (first is None or desk.fleet.can(replica, first.model)):
            return True
    return False
