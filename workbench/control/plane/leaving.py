"""What comes back from the replicas, and clients that give up."""

from typing import Literal

from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import drop, finish
from workbench.control.plane.events import FirstToken, Gone, Left, Progress
from workbench.control.plane.hedges import first_byte
from workbench.control.plane.inside import Inside
from workbench.control.plane.lines import Alarm
from workbench.control.plane.sending import goes_on, settle, take_back
from workbench.control.plane.waiting import enqueue, wait
from workbench.control.routing.retries import Attempt, Retry

SEEN: dict[str, Literal["ok", "failure", "rejected"]] = {  # by the breaker; a wrong request is a working replica
    "ok": "ok", "refused": "ok", "rejected": "rejected", "failure": "failure", "timeout": "failure",
    "unsent": "failure",
}


def first_token(desk: Desk, now_ns: int, event: FirstToken) -> None:
    state = _of(desk, event.request_id, event.attempt)
    if state is not None and state.first_ns is None:
        first_byte(desk, now_ns, state, event.attempt)
        state.sent_tok = 1


def progress(desk: Desk, now_ns: int, event: Progress) -> None:
    state = _of(desk, event.request_id, event.attempt)
    if state is not None and event.output_tok > state.sent_tok:
        if state.first_ns is None:
            first_byte(desk, now_ns, state, event.attempt)
        state.sent_tok = event.output_tok
        desk.lines[state.pool].queue.charge(
            now_ns, event.request_id, state.item.prompt_tok, event.output_tok, done=False)


def left(desk: Desk, now_ns: int, event: Left) -> None:
    state = _of(desk, event.request_id, event.attempt)
    if state is None:
        return
    if event.outcome == "ok" and state.first_ns is None:
        first_byte(desk, now_ns, state, event.attempt)
    prompt_tok = event.prompt_tok - event.cached_tok
    if event.outcome != "ok" and state.first_ns is not None:  # broken off: what its client has was computed for it
        state.sent_tok = max(state.sent_tok, event.output_tok)
        prompt_tok = max(prompt_tok, state.item.prompt_tok)
    replica = settle(desk, now_ns, state, event.attempt, prompt_tok, max(event.output_tok, state.sent_tok))
    desk.fleet.done(now_ns, replica, event.request_id, event.attempt, SEEN[event.outcome])
    if event.outcome == "ok":
        finish(desk, now_ns, state, "ok", "", event.prompt_tok, event.cached_tok, event.output_tok, event.cost_pusd)
        return
    state.tried = (*state.tried, replica)
    if goes_on(desk, now_ns, state, event.attempt):
        return
    state.rounds += 1
    reason = event.error or event.outcome
    if desk.retries is not None:
        cause = event.outcome
        next_ = desk.retries.failed(now_ns, Attempt(
            event.request_id, state.rounds, cause, state.sent_tok, event.retry_after_ns, state.item.deadline_ns))
        if isinstance(next_, Retry):
            wait(desk, state, "later")
            desk.later.add(max(next_.at_ns, now_ns + 1), state.item)  # no wake is ever asked for now itself
            return
        reason = f"{reason}; {next_.reason}"
    got = state.sent_tok
    finish(desk, now_ns, state, "error", reason, state.item.prompt_tok if got else 0, 0, got, event.cost_pusd)


def gone(desk: Desk, now_ns: int, event: Gone) -> None:
    """Wherever it is. One that is over already is no news."""
    state = desk.inside.get(event.request_id)
    if state is None:
        desk.tally.ignored += 1
        return
    abandon(desk, now_ns, state)
    got = state.sent_tok
    finish(desk, now_ns, state, "cancelled", "the client gave up", state.item.prompt_tok if got else 0, 0, got)


def abandon(desk: Desk, now_ns: int, state: Inside) -> None:
    """Out of wherever it waits or runs."""
    name, line = state.item.request_id, desk.lines[state.pool]
    if state.place == "queued":
        line.queue.cancel(now_ns, name)
    elif state.place == "held":
        line.held = None
        line.queue.charge(now_ns, name, 0, 0)
    elif state.place == "following" and state.cache is not None and desk.cache is not None:
        desk.cache.cancel(now_ns, state.cache, name)
    for attempt in list(state.out):
        take_back(desk, now_ns, state, attempt, "the client gave up")


def again(desk: Desk, now_ns: int, alarm: Alarm) -> None:
    """The time of a retry has come; it may be over, or this alarm an old one."""
    state = desk.whose(alarm)
    if state is not None and state.place == "later":
        for dropped in enqueue(desk, now_ns, state):
            drop(desk, now_ns, dropped)


def _of(desk: Desk, name: str, attempt: int) -> Inside | None:
    """None, and counted: the attempt is over, this was told late."""
    state = desk.inside.get(name)
    if state is None or attempt not in state.out:
        desk.tally.ignored += 1
        return None
    return state
