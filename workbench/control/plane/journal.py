"""The plane's journal: (now, event, decisions), one JSON line each, after a line with the facts it was built of.

It replays: a fresh plane of the same facts that is told the same events at the same times decides the same.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.events import DECISIONS, EVENTS, Decision, Event, from_json, to_json

KIND, SCHEMA = "workbench.plane_journal", 1
LATEST_NS = 1 << 63  # a clock of 64 bits ends there


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
        last_ns = 0
        for number, text in enumerate(lines, start=1):
            try:
                raw = json.loads(text)
                if facts is None:
                    facts = _facts(raw)
                else:
                    entries.append(_entry(raw, last_ns))
                    last_ns = entries[-1].now_ns
            except UnicodeDecodeError:
                raise
            except json.JSONDecodeError as error:
                raise ValueError(f"journal line {number}: is no JSON, or not whole: {error.msg} at character "
                                 f"{error.pos}") from None
            except ValueError as error:
                raise ValueError(f"journal line {number}: {error}") from None
            except RecursionError:
                raise ValueError(f"journal line {number}: tables in tables without end") from None
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


def _entry(raw: Any, last_ns: int) -> Entry:
    """ValueError for what no version wrote."""
    if not isinstance(raw, dict) or not {"now_ns", "event", "decisions"} <= raw.keys():
        raise ValueError("is no entry; one has now_ns, event and decisions")
    now_ns, decisions = raw["now_ns"], raw["decisions"]
    if type(now_ns) is not int or not 0 <= now_ns < LATEST_NS:
        raise ValueError(f"now_ns {now_ns!r:.60} is not a whole number from 0 to 2^63")
    if now_ns < last_ns:
        raise ValueError(f"the clock goes back from {last_ns} to {now_ns} ns")
    if not isinstance(decisions, list):
        raise ValueError("decisions is no list")
    return Entry(now_ns, from_json(raw["event"], EVENTS), tuple(from_json(one, DECISIONS) for one in decisions))


def _facts(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise ValueError("not a journal of the control plane")
    if type(raw.get("schema")) is not int or not 1 <= raw["schema"] <= SCHEMA:
        raise ValueError(f"schema {raw.get('schema')!r:.60}; this version reads 1 to {SCHEMA}; upgrade the workbench")
    facts = raw.get("facts")
    if not isinstance(facts, dict):
        raise ValueError("facts is no table")
    custom = facts.get("custom", {})
    if not isinstance(custom, dict) or not all(isinstance(about, str) for about in custom.values()):
        raise ValueError("facts.custom is no table of policies, each with name and hash")
    return facts


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
