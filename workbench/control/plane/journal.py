"""The plane's journal: (now, event, decisions), one JSON line each, after a line with the facts it was built of.

It replays: a fresh plane of the same facts that is told the same events at the same times decides the same.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.events import Decision, Event, from_json, to_json

KIND, SCHEMA = "workbench.plane_journal", 1


class Entry(NamedTuple):
    now_ns: int
    event: Event
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class PlaneJournal:
    """`facts` is the `[control]` table; of a policy from the user's own file it holds name and hash."""

    facts: Mapping[str, Any]
    entries: Sequence[Entry]

    def lines(self) -> Iterable[str]:
        """Newline included; the first line is kind, schema and facts."""
        yield _line({"kind": KIND, "schema": SCHEMA, "facts": self.facts})
        for now_ns, event, decisions in self.entries:
            yield _line({"now_ns": now_ns, "event": to_json(event), "decisions": [to_json(one) for one in decisions]})

    @staticmethod
    def parse(lines: Iterable[str]) -> "PlaneJournal":
        """Read it again; ValueError with the line's number for what is damaged or newer than this version."""
        entries: list[Entry] = []
        facts: Mapping[str, Any] | None = None
        for number, text in enumerate(lines, start=1):
            try:
                raw = json.loads(text)
                if facts is None:
                    facts = _facts(raw)
                else:
                    decisions = tuple(from_json(item) for item in raw["decisions"])
                    entries.append(Entry(raw["now_ns"], from_json(raw["event"]), decisions))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"journal line {number}: {error}") from None
        if facts is None:
            raise ValueError("journal line 1: the file is empty")
        return PlaneJournal(facts, entries)

    def about(self, request_id: str) -> list[Entry]:
        """Every entry whose event or decisions name this request."""
        return [entry for entry in self.entries
                if any(getattr(item, "request_id", None) == request_id for item in (entry.event, *entry.decisions))]


def first_difference(
    journal: PlaneJournal, custom: Custom | None = None
) -> tuple[Entry, tuple[Decision, ...]] | None:
    """Replay through a fresh plane: the first entry that it decides otherwise, with what it decided; else None."""
    plane = plane_of(journal.facts, custom)
    for entry in journal.entries:
        decided = plane.on(entry.now_ns, entry.event)
        if decided != entry.decisions:
            return entry, decided
    return None


def _facts(raw: Any) -> Mapping[str, Any]:
    if raw.get("kind") != KIND:
        raise ValueError("not a journal of the control plane")
    if not isinstance(raw.get("schema"), int) or not 1 <= raw["schema"] <= SCHEMA:
        raise ValueError(f"schema {raw.get('schema')!r}; this version reads 1 to {SCHEMA}; upgrade the workbench")
    facts = raw["facts"]
    if not isinstance(facts, dict):
        raise ValueError("facts is no table")
    return facts


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
