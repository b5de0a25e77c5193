"""From the journal: every attempt at a replica, and what was decided about the fleet, the models and the alarms."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sims.plane.failures import Failure
from workbench.control.plane.events import (
    Alarm,
    Cancel,
    FirstToken,
    Left,
    Notice,
    Release,
    ReplicaDown,
    ReplicaUp,
    Shift,
    Start,
    Stop,
)
from workbench.control.plane.journal import Entry

WORDS = {"replica": ("dies", "can serve again"), "node": ("dies", "is there again"),
         "partition": ("cannot be reached", "can be reached again"), "spot": ("is given notice", "can be had again")}
SCHEMA = pa.schema([
    ("request_id", pa.string()), ("attempt", pa.int64()), ("replica", pa.int64()), ("model", pa.string()),
    ("release_ns", pa.int64()), ("first_token_ns", pa.int64()), ("end_ns", pa.int64()), ("outcome", pa.string()),
    ("error", pa.string()), ("output_tok", pa.int64()),
])
TOLD = (ReplicaUp, ReplicaDown, Notice)
DECIDED = (Start, Stop, Alarm, Shift)


def attempts(entries: Sequence[Entry]) -> pa.Table:
    """One row an attempt, retries and hedges included, in the order of release. What is told late changes nothing.
    A replica that stops with attempts on it is taken for dead, and these for failed: they have no event of their own.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for now_ns, event, decisions in entries:
        if isinstance(event, FirstToken | Left):
            row = rows.get((event.request_id, event.attempt))
            if row is not None and row["end_ns"] is None:
                if isinstance(event, FirstToken):
                    row["first_token_ns"] = now_ns
                else:
                    row |= {"end_ns": now_ns, "outcome": event.outcome, "error": event.error or None,
                            "output_tok": event.output_tok}
        for one in decisions:
            if isinstance(one, Release):
                rows[one.request_id, one.attempt] = dict.fromkeys(SCHEMA.names) | one._asdict() | {
                    "release_ns": now_ns, "outcome": "unfinished"}
            elif isinstance(one, Cancel):
                rows[one.request_id, one.attempt] |= {"end_ns": now_ns, "outcome": "cancelled", "error": one.why}
            elif isinstance(one, Stop):
                for row in rows.values():
                    if row["replica"] == one.replica and row["end_ns"] is None:
                        row |= {"end_ns": now_ns, "outcome": "failure", "error": f"node lost: {one.why}"}
    return pa.Table.from_pylist(list(rows.values()), schema=SCHEMA)


def broken(failures: Sequence[Failure], stop_ns: int) -> list[dict[str, Any]]:
    """What the scenario breaks, and when it is whole again, as `operations` has it: the plane learns of it later."""
    found: list[dict[str, Any]] = []
    for one in failures:
        what = f"{'replica' if isinstance(one.target, int) else 'node'} {one.target}"
        begins, ends = WORDS[one.kind]
        found.append({"at_ns": one.at_ns, "kind": "Failure", "what": f"{what} {begins}"})
        if one.end_ns is not None:
            found.append({"at_ns": one.end_ns, "kind": "Failure", "what": f"{what} {ends}"})
    return [one for one in found if one["at_ns"] <= stop_ns]


def operations(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """`{at_ns, kind, ...}` in order: replicas that started, stopped, died or came back, alarms, shifts of an alias."""
    found = []
    for now_ns, event, decisions in entries:
        told = [event] if isinstance(event, TOLD) else []
        for one in (*told, *(one for one in decisions if isinstance(one, DECIDED))):
            values = one._asdict()
            if isinstance(one, Notice):  # its own at_ns is when the replica goes
                values["gone_ns"] = values.pop("at_ns")
            found.append({"at_ns": now_ns, "kind": type(one).__name__, **values})
    return found
