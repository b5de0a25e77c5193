"""A second attempt beside one that takes long, and the first byte that ends the race."""

from workbench.control.plane.desk import Desk
from workbench.control.plane.inside import Inside
from workbench.control.plane.sending import holding, send, take_back
from workbench.control.resources.holding import Refusal


def second_attempts(desk: Desk, now_ns: int) -> None:
    """Of those that are due; after all who wait, so none of them is held up by it. Where nobody else has a place or
    memory for it, or somebody waits for that memory, it is left out."""
    assert desk.hedging is not None  # who calls has looked
    for name in desk.hedging.on_time(now_ns):
        state = desk.inside.get(name)
        if state is not None and state.hedging and len(state.out) == 1:
            _second(desk, now_ns, state)


def _second(desk: Desk, now_ns: int, state: Inside) -> None:
    assert desk.hedging is not None
    item = state.item
    there = tuple(state.out.values())
    able = [one for one in desk.fleet.candidates(now_ns, state.pool) if one.replica not in there]
    able = desk.fleet.fit(able, item.model, state.tried)
    if desk.allocator is not None and any(line.held is not None for line in desk.lines.values()):
        return  # what is free is kept together for who was popped first
    if not able or (desk.running is not None and not desk.running.may(item.tenant)):
        return
    state.hedge = state.attempts + 1
    if desk.allocator is not None:
        granted = desk.allocator.reserve(
            now_ns, holding(state, state.hedge), item.tenant, item.prompt_tok + state.most_tok, item.priority)
        if isinstance(granted, Refusal):
            state.hedge = 0
            return
    send(desk, now_ns, state, desk.router.pick(now_ns, item, able))
    desk.tally.hedges += 1
    desk.hedging.hedged(now_ns, item.request_id, str(state.hedge))


def first_byte(desk: Desk, now_ns: int, state: Inside, attempt: int) -> None:
    """The client has it: from here on no retry, no preemption and no other attempt."""
    state.first_ns = now_ns
    if state.hedging and desk.hedging is not None:
        state.hedging = False
        for other in desk.hedging.first_byte(now_ns, state.item.request_id, str(attempt)):
            take_back(desk, now_ns, state, int(other), "another attempt answered first")
    if desk.operations is not None:
        desk.operations.first_token(now_ns, state)
