"""What nobody may tell the plane: refused by one line before anything is changed, so that nothing is lost by it."""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, get_args

from workbench.control.plane.desk import Desk
from workbench.control.plane.events import (
    EVENTS,
    Arrived,
    Event,
    FirstToken,
    Gone,
    Heartbeat,
    Left,
    Notice,
    Outcome,
    Progress,
    ReplicaDown,
    ReplicaUp,
    Report,
    Time,
)

OUTCOMES, KEEP = frozenset(get_args(Outcome)), frozenset(get_args(Arrived.__annotations__["keep"]))
WORDS: Mapping[type, str] = {int: "a whole number", str: "a text", tuple: "a tuple", NoneType: "None"}
# of the fields of each event, as they nearly always are: one look-up an event
_ARRIVED = (str, str, str, str, str, str, int, int, int, int, int, str, str, tuple, str, str)
TYPES: Mapping[type[Any], tuple[tuple[type, ...], ...]] = {
    Arrived: (_ARRIVED, (*_ARRIVED[:9], NoneType, *_ARRIVED[10:])), FirstToken: ((str, int),),
    Progress: ((str, int, int),), Left: ((str, int, str, int, int, int, str, int, int),), Gone: ((str,),),
    Report: ((int, int, int, int, int),), ReplicaUp: ((int, int),), ReplicaDown: ((int,),), Heartbeat: ((str,),),
    Notice: ((int, int),), Time: ((),),
}


def check(desk: Desk, now_ns: int, event: Event) -> None:
    """ValueError. That the clock goes forward the plane sees to itself."""
    kind = event.__class__
    types = TYPES.get(kind)
    if types is None:
        raise ValueError(f"{event!r} is no event; known: {', '.join(one.__name__ for one in EVENTS)}")
    if tuple(map(type, event)) not in types:
        _fields(event, types)
    looks = _CHECKS.get(kind)
    if looks is not None:
        looks(desk, now_ns, event)


def _fields(event: Any, types: tuple[tuple[type, ...], ...]) -> None:
    """Kinds of texts and of tuples pass; kinds of whole numbers do not: who adds a truth value gets no sum."""
    for i, (name, value) in enumerate(zip(event._fields, event, strict=True)):
        may = list(dict.fromkeys(one[i] for one in types))
        if not any(type(value) is one or (one is not int and isinstance(value, one)) for one in may):
            raise ValueError(f"{type(event).__name__}.{name}: {value!r} is not {' or '.join(WORDS[one] for one in may)}"
                             + (f" (of {event[0]!r})" if i else ""))


def _arrived(desk: Desk, _: int, event: Arrived) -> None:
    name, prompt_tok, estimated_tok, max_tok = event.request_id, event.prompt_tok, event.estimated_tok, event.max_tok
    if name in desk.inside:
        raise ValueError(f"request {name}: is inside already; every request has an id of its own")
    if prompt_tok < 1 or estimated_tok < 1 or max_tok < 0:
        raise ValueError(f"request {name}: prompt_tok {prompt_tok} and estimated_tok {estimated_tok} must be at least "
                         f"1, max_tok {max_tok} at least 0 (0: not said)")
    if event.keep not in KEEP:
        raise ValueError(f"request {name}: keep {event.keep!r} is unknown; known: {', '.join(sorted(KEEP))}")


def _left(_: Desk, __: int, event: Left) -> None:
    """As billing will want it: by then the attempt is settled, and it would be lost."""
    name, _attempt, outcome, prompt_tok, cached_tok, output_tok, _error, retry_after_ns, cost_pusd = event
    if outcome not in OUTCOMES:
        raise ValueError(f"request {name}: outcome {outcome!r} is unknown; known: {', '.join(sorted(OUTCOMES))}")
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


def _up(desk: Desk, now_ns: int, event: ReplicaUp) -> None:
    """By a token that was given to it; older ones are stale, and counted."""
    _replica(desk, now_ns, event)
    given = 0 if desk.operations is None else desk.operations.members.given[event.replica]
    if not 0 <= event.token <= given and desk.operations is not None:
        raise ValueError(f"replica {event.replica}: is up by token {event.token}, but the last one given is {given}")


def _heartbeat(desk: Desk, _: int, event: Heartbeat) -> None:
    if desk.operations is not None and desk.operations.cluster is not None:
        desk.operations.cluster.known(event.node)


_CHECKS: Mapping[type[Any], Callable[[Desk, int, Any], None]] = {
    Arrived: _arrived, Left: _left, Report: _report, ReplicaUp: _up, ReplicaDown: _replica, Notice: _replica,
    Heartbeat: _heartbeat}
