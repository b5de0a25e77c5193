"""What the control plane is told and what it answers, and how both are written: one flat JSON object each."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

# failure: 5xx or broken off. rejected: the engine's 429. refused: any other 4xx. unsent: no connection
Outcome = Literal["ok", "failure", "rejected", "timeout", "refused", "unsent"]


class Arrived(NamedTuple):
    """A request reached the plane. `key` is a digest of its credential, never the credential. `max_tok` is the most
    output it asked for (0: not said, then the estimate); the true length is never here. `cache` is a digest of prompt
    and parameters where the answer may be kept, "" where it may not. `device`: the class of device that asks, where a
    model might run there; `keep`: what may not leave it, or what its user does not want to compute."""

    request_id: str
    tenant: str = "default"
    user: str = ""
    key: str = ""
    tier: str = "standard"
    model: str = ""
    prompt_tok: int = 1
    estimated_tok: int = 1
    max_tok: int = 0
    deadline_ns: int | None = None
    priority: int = 0
    cache: str = ""
    session: str = ""
    prefix_ids: tuple[int, ...] = ()
    device: str = ""
    keep: Literal["any", "device", "server"] = "any"


class FirstToken(NamedTuple):
    """The client has the first byte of this attempt: from here on no retry and no preemption."""

    request_id: str
    attempt: int


class Progress(NamedTuple):
    """So many output tokens went out in all."""

    request_id: str
    attempt: int
    output_tok: int


class Left(NamedTuple):
    """A released attempt is over at its replica. `prompt_tok` and `cached_tok` as far as they were computed;
    `output_tok` of one that broke off: what its client has."""

    request_id: str
    attempt: int
    outcome: Outcome = "ok"
    prompt_tok: int = 0
    cached_tok: int = 0
    output_tok: int = 0
    error: str = ""
    retry_after_ns: int = 0
    cost_pusd: int = 0


class Gone(NamedTuple):
    """The client gave up."""

    request_id: str


class Report(NamedTuple):
    """What a replica says of itself, and when it said so."""

    replica: int
    reported_ns: int
    waiting: int = 0
    running: int = 0
    kv_used_ppm: int = 0


class ReplicaUp(NamedTuple):
    """It takes requests. `token`: that of the `Start` it answers (0: nobody started it, it was there)."""

    replica: int
    token: int = 0


class ReplicaDown(NamedTuple):
    """It takes none. What was inside leaves by events of its own."""

    replica: int


class Heartbeat(NamedTuple):
    """A node was heard of."""

    node: str


class Notice(NamedTuple):
    """The provider takes this replica away at that moment: a spot machine, a TPU slice."""

    replica: int
    at_ns: int


class Time(NamedTuple):
    """A wake that was asked for."""


class Reject(NamedTuple):
    """The end of a request that no replica began: `rejected` (not allowed, over a limit), `shed` or `expired`."""

    request_id: str
    outcome: Literal["rejected", "shed", "expired"]
    status: int
    reason: str
    retry_after_ns: int | None = None


class Answer(NamedTuple):
    """The end of a request whose answer is kept (`cache`), was just computed for another (`flight`), or that its own
    device computes (`device`)."""

    request_id: str
    source: Literal["cache", "flight", "device"]
    answer_of: str  # the request that computed it; the model on the device


class Release(NamedTuple):
    """Hand it to that replica now."""

    request_id: str
    attempt: int
    replica: int
    model: str


class Cancel(NamedTuple):
    """Stop this attempt; nothing more is wanted of it."""

    request_id: str
    attempt: int
    replica: int
    why: str


class Finish(NamedTuple):
    """The end of a request that was released, or whose client gave up."""

    request_id: str
    outcome: Literal["ok", "error", "cancelled"]
    reason: str
    attempts: int


class Charge(NamedTuple):
    """Posted to the ledger. A volume price may make it negative."""

    request_id: str
    tenant: str
    price_pusd: int
    cost_pusd: int


class Start(NamedTuple):
    """Begin this replica, on that node where there are nodes; say `ReplicaUp` with this token once it serves."""

    replica: int
    token: int
    node: str
    why: str


class Stop(NamedTuple):
    """It is wanted no more: nothing is on it, or its node is taken for dead."""

    replica: int
    why: str


class Alarm(NamedTuple):
    """Somebody should look: `what` burns or changed. `value` exceeded `limit`, in `unit`: milli_rate (of what a budget
    of errors allows), milli_spread (of the usual difference), pusd, ppm, us; empty: a count."""

    what: str
    severity: Literal["page", "ticket", "notice"]
    value: int
    limit: int
    unit: str = ""


class Shift(NamedTuple):
    """An alias points elsewhere from now on: a canary begins, widens, is promoted or rolled back."""

    alias: str
    act: Literal["begin", "widen", "promote", "roll back"]
    share_ppm: int
    reason: str


class Wake(NamedTuple):
    """Tell `Time` at that moment."""

    at_ns: int


Event = Arrived | FirstToken | Progress | Left | Gone | Report | ReplicaUp | ReplicaDown | Heartbeat | Notice | Time
Decision = Reject | Answer | Release | Cancel | Finish | Charge | Start | Stop | Alarm | Shift | Wake
EVENTS: tuple[type[Any], ...] = (
    Arrived, FirstToken, Progress, Left, Gone, Report, ReplicaUp, ReplicaDown, Heartbeat, Notice, Time)
DECISIONS: tuple[type[Any], ...] = (
    Reject, Answer, Release, Cancel, Finish, Charge, Start, Stop, Alarm, Shift, Wake)
_HINTS: Mapping[type[Any], Mapping[str, Any]] = {kind: get_type_hints(kind) for kind in (*EVENTS, *DECISIONS)}
LARGEST = 1 << 127  # no number that is told or decided reaches it


def to_json(item: Event | Decision) -> dict[str, Any]:
    """`kind` and what differs from the defaults."""
    defaults = item._field_defaults
    values = {name: value for name, value in zip(item._fields, item, strict=True)
              if name not in defaults or defaults[name] != value}
    return {"kind": type(item).__name__, **values}


def from_json(raw: Any, kinds: Sequence[type[Any]] = (*EVENTS, *DECISIONS)) -> Any:
    """The event or decision again; ValueError for what no version wrote."""
    if not isinstance(raw, Mapping):
        raise ValueError(f"{raw!r:.60} is no table with a kind")
    values = dict(raw)
    name = values.pop("kind", None)
    kind = next((one for one in kinds if one.__name__ == name), None)
    if kind is None:
        raise ValueError(f"kind {name!r:.60} is not one of {', '.join(one.__name__ for one in kinds)}")
    if isinstance(values.get("prefix_ids"), list):
        values["prefix_ids"] = tuple(values["prefix_ids"])
    try:
        item = kind(**values)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
    fields = _HINTS[kind]
    for field in values:
        if not _fits(values[field], fields[field]):
            raise ValueError(f"{name}.{field}: {values[field]!r:.60} is not {_told(fields[field])}")
    return item


def _fits(value: Any, hint: Any) -> bool:
    """A bool is no number here, and a number is one that a clock or an account may reach."""
    if hint is int:
        return type(value) is int and abs(value) < LARGEST
    if hint is str:
        return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(one, int) for one in value)
    return value is None or _fits(value, int)  # int | None


def _told(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    return "text" if hint is str else "whole numbers" if get_origin(hint) is tuple else (
        "a whole number below 2^127" + ("" if hint is int else ", or null"))
