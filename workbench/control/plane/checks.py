"""What nobody may tell the plane: refused by one line before anything is changed, so that nothing is lost by it."""

from collections.abc import Callable, Mapping
from typing import Any

from workbench.control.plane.desk import Desk
from workbench.control.plane.events import EVENTS, Arrived, Event, Left, Notice, ReplicaDown, ReplicaUp, Report


def check(desk: Desk, now_ns: int, event: Event) -> None:
    """ValueError. That the clock goes forward the plane sees to itself."""
    kind = event.__class__
    looks = _CHECKS.get(kind)
    if looks is not None:
        looks(desk, now_ns, event)
    elif kind not in EVENTS:
        raise ValueError(f"{event!r} is no event; known: {', '.join(one.__name__ for one in EVENTS)}")


def _arrived(desk: Desk, _: int, event: Arrived) -> None:
    name, prompt_tok, estimated_tok, max_tok = event.request_id, event.prompt_tok, event.estimated_tok, event.max_tok
    if name in desk.inside:
        raise ValueError(f"request {name}: is inside already; every request has an id of its own")
    if not prompt_tok.__class__ is estimated_tok.__class__ is max_tok.__class__ is int:
        raise ValueError(f"request {name}: prompt_tok {prompt_tok!r}, estimated_tok {estimated_tok!r}, max_tok "
                         f"{max_tok!r}: tokens are whole numbers")
    if prompt_tok < 1 or estimated_tok < 1 or max_tok < 0:
        raise ValueError(f"request {name}: prompt_tok {prompt_tok} and estimated_tok {estimated_tok} must be at least "
                         f"1, max_tok {max_tok} at least 0 (0: not said)")


def _left(_: Desk, __: int, event: Left) -> None:
    """As billing will want it: by then the attempt is settled, and it would be lost."""
    name, _attempt, _outcome, prompt_tok, cached_tok, output_tok, _error, retry_after_ns, cost_pusd = event
    if not 0 <= cached_tok <= prompt_tok or output_tok < 0 or cost_pusd < 0 or retry_after_ns < 0:
        raise ValueError(f"request {name}: prompt_tok {prompt_tok}, of it cached_tok {cached_tok}, output_tok "
                         f"{output_tok}, cost_pusd {cost_pusd}, retry_after_ns {retry_after_ns}: none is negative, and "
                         "cached is at most the prompt")


def _report(desk: Desk, now_ns: int, event: Report) -> None:
    _replica(desk, now_ns, event)
    if event.reported_ns > now_ns:
        raise ValueError(f"replica {event.replica}: its report of {event.reported_ns} ns comes before it, at {now_ns}")


def _replica(desk: Desk, _: int, event: Any) -> None:
    if not 0 <= event.replica < len(desk.fleet.specs):
        raise ValueError(f"replica {event.replica}: unknown; there are 0 to {len(desk.fleet.specs) - 1}")


_CHECKS: Mapping[type[Any], Callable[[Desk, int, Any], None]] = {
    Arrived: _arrived, Left: _left, Report: _report, ReplicaUp: _replica, ReplicaDown: _replica, Notice: _replica}
