"""The decision journal of a run: found, replayed, shown. `journal_story` tells what happened to one request."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sims.plane.custom import blamed
from workbench.control.plane.build import Custom
from workbench.control.plane.events import DECISIONS, EVENTS, Arrived, Wake
from workbench.control.plane.journal import Entry, PlaneJournal, first_difference
from workbench.errors import UsageError
from workbench.flows import journal_words, plane_policies
from workbench.text import one_line

FILE = re.compile(r"seed-(\d+)\.journal\.jsonl$")
KINDS = {kind.__name__.lower(): kind for kind in (*EVENTS, *DECISIONS)}


def find(run: Path, seed: int | None = None) -> Path:
    """The journal of a run: a folder (its first seed, or that one), or the file itself. UsageError."""
    if run.is_file():
        return run
    if not run.is_dir():
        raise UsageError(f"{run}: no such run; `workbench runs list` shows what is there")
    found = {int(match[1]): path for path in run.iterdir() if (match := FILE.search(path.name))}
    if not found:
        raise UsageError(f"{run}: has no journal; run the scenario with --journal")
    if seed is not None and seed not in found:
        raise UsageError(f"{run}: has no journal of seed {seed}; it has {', '.join(map(str, sorted(found)))}")
    return found[min(found) if seed is None else seed]


def _place(path: Path) -> str:
    """The file with its folder's name: every run has a seed-1."""
    return f"{path.resolve().parent.name}/{path.name}"


def load(run: Path, seed: int | None = None) -> PlaneJournal:
    """UsageError where it is damaged, newer than this version, or of a scenario without a control plane."""
    path = find(run, seed)
    try:
        with path.open(encoding="utf-8") as lines:
            return PlaneJournal.parse(lines)
    except UnicodeDecodeError:
        raise UsageError(f"{_place(path)}: is no journal but a binary file; name the run's folder") from None
    except ValueError as error:
        hint = ""
        if "not a journal of the control plane" in str(error):
            hint = "; a scenario without [control] has none to explain, `workbench sim trace` shows such a run"
        raise UsageError(f"{_place(path)}: {error}{hint}") from None


def custom(journal: PlaneJournal, policies: Sequence[str]) -> Custom:
    """The user's own classes that the journal was written with. UsageError where one is missing or another."""
    chosen = plane_policies.parse(policies)
    given = {one.kind: one.about for one in chosen if one.about}
    for kind, about in journal.facts.get("custom", {}).items():
        if kind not in given:
            raise UsageError(f"{kind} came from a file of your own, {about}; give it again: "
                             f"--policy {kind}=./FILE.py:CLASS")
        if given[kind] != about:
            raise UsageError(f"--policy {kind}: {given[kind]} is not what the run used: {about}")
    return plane_policies.classes(chosen)


def replay(journal: PlaneJournal, own: Custom) -> dict[str, Any]:
    """Through a fresh plane: `same`, or what the first entry that differs was and is."""
    try:
        with blamed(own):
            found = first_difference(journal, own)
    except ValueError as error:
        raise UsageError(f"the journal cannot be replayed: {error}") from None
    about = {"same": found is None, "entries": len(journal.entries),
             "decisions": sum(len(entry.decisions) for entry in journal.entries)}
    if found is None:
        return about
    entry, decided = found
    return about | {"at_ns": entry.now_ns, "event": journal_words.event(entry.event),
                    "journal": [_named(one) for one in entry.decisions], "now": [_named(one) for one in decided]}


def show(journal: PlaneJournal, tenant: str | None = None, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Its entries as `{at_ns, kind, request_id, event, decisions}`: of one tenant's requests, or of a kind of event or
    decision. Wakes are left out unless asked for. UsageError for a name that nobody has."""
    wanted = None if kind is None else KINDS.get(kind.lower())
    if kind is not None and wanted is None:
        raise UsageError(f"--kind {kind}: unknown; {_near(kind.lower(), [*KINDS])}")
    tenant_of = {entry.event.request_id: entry.event.tenant for entry in journal.entries
                 if isinstance(entry.event, Arrived)}
    if tenant is not None and tenant not in tenant_of.values():
        raise UsageError(f"--tenant {tenant}: sent nothing; {_near(tenant, sorted(set(tenant_of.values())))}")
    return (_entry(entry, wanted) for entry in journal.entries
            if (tenant is None or tenant in {tenant_of.get(name) for name in _requests(entry)})
            and (wanted is None or any(isinstance(item, wanted) for item in (entry.event, *entry.decisions))))


def _entry(entry: Entry, wanted: type[Any] | None) -> dict[str, Any]:
    decisions = [one for one in entry.decisions if not isinstance(one, Wake) or wanted is Wake]
    return {"at_ns": entry.now_ns, "kind": type(entry.event).__name__,
            "request_id": getattr(entry.event, "request_id", None), "event": journal_words.event(entry.event),
            "decisions": [_named(one) for one in decisions]}


def _named(item: Any) -> str:
    name = getattr(item, "request_id", None)
    return f"{one_line(name)} {journal_words.decision(item)}" if name else journal_words.decision(item)


def _requests(entry: Entry) -> set[str]:
    found = {getattr(item, "request_id", None) for item in (entry.event, *entry.decisions)}
    return {name for name in found if name is not None}


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"


def _number(request_id: str) -> int | None:
    """r42 may mean r000042."""
    digits = re.search(r"[0-9]+$", request_id)
    return int(digits[0]) if digits else None


def unknown_request(journal: PlaneJournal, request_id: str) -> UsageError:
    names = [entry.event.request_id for entry in journal.entries if isinstance(entry.event, Arrived)]
    alike = [name for name in names if abs(len(name) - len(request_id)) <= 2][:20_000]
    number = _number(request_id)
    near = [name for name in names if number is not None and _number(name) == number]
    near = near[:3] or get_close_matches(request_id, alike, n=3)
    all_of_them = f"it has {names[0]} to {names[-1]}" if names else "it is empty"
    hint = f"did you mean {' or '.join(near)}?" if near else all_of_them
    return UsageError(f"request {request_id}: the journal knows none of this id; {hint}")
