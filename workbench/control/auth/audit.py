"""Who did what: append-only, each entry carries the hash of the one before, so a change in the middle shows.

Source: Schneier & Kelsey, Secure Audit Logs to Support Computer Forensics, 1999 (the hash chain of it). Entries cut
off at the end show only against a head that was kept elsewhere.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from workbench.control.clock import Clock

START = "0" * 64


class Event(NamedTuple):
    """Ids only: never a key, never a prompt."""

    sequence: int
    at_ns: int
    actor: str
    action: str
    subject: str
    outcome: str
    previous: str  # hash of the entry before
    digest: str  # hash of all the above


class AuditLog(Clock):
    """Append and read; there is nothing else."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def append(self, now_ns: int, actor: str, action: str, subject: str, outcome: str) -> Event:
        self._tick(now_ns)
        fields = (len(self._events), now_ns, actor, action, subject, outcome, self.head)
        event = Event(*fields, digest=_hash(fields))
        self._events.append(event)
        return event

    @property
    def head(self) -> str:
        """Keep it elsewhere from time to time: it vouches for everything before."""
        return self._events[-1].digest if self._events else START

    @property
    def events(self) -> Sequence[Event]:
        return tuple(self._events)

    def __len__(self) -> int:
        return len(self._events)


def first_broken(events: Sequence[Event], head: str | None = None) -> int | None:
    """The first entry that is not what was appended; None: all are. With a head, also nothing is missing at the end."""
    previous, at_ns = START, 0
    for i, event in enumerate(events):
        whole = event.sequence == i and event.previous == previous and event.at_ns >= at_ns
        if not whole or event.digest != _hash(event[:-1]):
            return i
        previous, at_ns = event.digest, event.at_ns
    return len(events) if head is not None and head != previous else None


def _hash(fields: tuple[object, ...]) -> str:
    # JSON, not joined text: ("a", "bc") and ("ab", "c") differ
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True).encode()).hexdigest()
