"""What the front door is told and what it answers, and how both are written in a journal."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Arrived(NamedTuple):
    """A request reached the front door. `estimated_tok` is a guess of its work; the true length is never here."""

    request_id: str
    prompt_tok: int
    estimated_tok: int
    tenant: str = "default"
    tier: str = "standard"


class Left(NamedTuple):
    """A released request is over at its replica, however it ended: its place is free."""

    request_id: str


class Release(NamedTuple):
    """Hand this request to that replica now."""

    request_id: str
    replica: int


Event = Arrived | Left
Decision = Release
_KINDS: Mapping[str, type[Any]] = {kind.__name__.lower(): kind for kind in (Arrived, Left, Release)}


def to_json(item: Event | Decision) -> dict[str, Any]:
    """A flat object whose `kind` names the class."""
    return {"kind": type(item).__name__.lower(), **item._asdict()}


def from_json(raw: Mapping[str, Any]) -> Any:
    """The event or decision again; ValueError for what no version wrote."""
    values = dict(raw)
    kind = _KINDS.get(str(values.pop("kind", "")))
    if kind is None:
        raise ValueError(f"kind {raw.get('kind')!r} is neither an event nor a decision")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{raw.get('kind')}: {error}") from None
