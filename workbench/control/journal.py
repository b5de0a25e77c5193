"""The decision journal: (now, event, decisions), one JSON line each, after a line that says what decided.

It replays: a fresh front door that is told the same events at the same times decides the same.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.control.events import Decision, Event, from_json, to_json
from workbench.control.front_door import FrontDoor
from workbench.control.registry import make

KIND = "workbench.journal"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Entry:
    now_ns: int
    event: Event
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a front door is made of: policies by name with their parameters."""

    queue: str = "fcfs"
    router: str = "least_loaded"
    replicas: int = 1
    window: int | None = None
    queue_with: dict[str, Any] = field(default_factory=dict)
    router_with: dict[str, Any] = field(default_factory=dict)

    def front_door(self) -> FrontDoor:
        """A fresh one; raises ValueError for what is unknown or out of range."""
        return FrontDoor(
            make("queue", self.queue, self.queue_with), make("router", self.router, self.router_with),
            replicas=self.replicas, window=self.window,
        )


@dataclass(frozen=True, slots=True)
class Journal:
    setup: Setup
    entries: Sequence[Entry]

    def lines(self) -> Iterable[str]:
        """Newline included; the first line is kind, schema and set-up."""
        setup = {name: getattr(self.setup, name) for name in Setup.__dataclass_fields__}
        yield _line({"kind": KIND, "schema": SCHEMA, "setup": setup})
        for entry in self.entries:
            decisions = [to_json(item) for item in entry.decisions]
            yield _line({"now_ns": entry.now_ns, "event": to_json(entry.event), "decisions": decisions})

    @staticmethod
    def parse(lines: Iterable[str]) -> "Journal":
        """Read it again; ValueError with the line's number for what is damaged or newer than this version."""
        entries: list[Entry] = []
        setup: Setup | None = None
        for number, text in enumerate(lines, start=1):
            try:
                raw = json.loads(text)
                if setup is None:
                    setup = _setup(raw)
                else:
                    decisions = tuple(from_json(item) for item in raw["decisions"])
                    entries.append(Entry(raw["now_ns"], from_json(raw["event"]), decisions))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"journal line {number}: {error}") from None
        if setup is None:
            raise ValueError("journal line 1: the file is empty")
        return Journal(setup, entries)


def first_difference(journal: Journal, door: FrontDoor | None = None) -> tuple[Entry, tuple[Decision, ...]] | None:
    """Replay through a fresh front door: the first entry it decides otherwise, with what it decided; else None."""
    fresh = door or journal.setup.front_door()
    for entry in journal.entries:
        decided = fresh.on(entry.now_ns, entry.event)
        if decided != entry.decisions:
            return entry, decided
    return None


def _setup(raw: Any) -> Setup:
    if raw.get("kind") != KIND:
        raise ValueError("not a journal")
    if not isinstance(raw.get("schema"), int) or not 1 <= raw["schema"] <= SCHEMA:
        raise ValueError(f"schema {raw.get('schema')!r}; this version reads 1 to {SCHEMA}; upgrade the workbench")
    return Setup(**raw["setup"])


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
