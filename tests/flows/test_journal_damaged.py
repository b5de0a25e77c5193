"""A journal that was damaged, forged or written by hand: one line that names the line, and never a forged one."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.control.plane.journal import PlaneJournal
from workbench.errors import UsageError
from workbench.flows import journal as journals
from workbench.flows.journal_story import explain
from workbench.text import one_line

HEAD: dict[str, Any] = {
    "kind": "workbench.plane_journal", "schema": 1, "facts": {"replicas": 1, "window": 1}}
RELEASE = {"kind": "Release", "request_id": "r1", "attempt": 1, "replica": 0, "model": ""}


def told(now_ns: Any = 5, event: Any = None, decisions: Any = (RELEASE,), **fields: Any) -> dict[str, Any]:
    arrived = {"kind": "Arrived", "request_id": "r1", **fields}
    return {"now_ns": now_ns, "event": arrived if event is None else event, "decisions": decisions}


def lines(*entries: Any, head: Any = HEAD) -> list[str]:
    return [json.dumps(one) + "\n" for one in (head, *entries)]


def left(**fields: Any) -> dict[str, Any]:
    return told(6, {"kind": "Left", "request_id": "r1", "attempt": 1, **fields}, [])


@pytest.mark.parametrize(("text", "says"), [
    (lines(told(), told(3, {"kind": "Time"}, [])), "line 3: the clock goes back from 5 to 3 ns"),
    (lines(told("a")), "line 2: now_ns 'a' is not a whole number"),
    (lines(told(True)), "line 2: now_ns True is not"),
    (lines(told(-1)), "line 2: now_ns -1 is not"),
    (lines(told(10**400)), "line 2: now_ns 10+ is not"),
    (lines(told(prompt_tok=10**400)), "line 2: Arrived.prompt_tok: 10+ is not a whole number"),
    (lines(told(prompt_tok=float("nan"))), "line 2: Arrived.prompt_tok: nan is not a whole number"),
    (lines(told(deadline_ns="soon")), "line 2: Arrived.deadline_ns: 'soon' is not .*, or null"),
    (lines(told(request_id=["r1"])), r"line 2: Arrived.request_id: \['r1'\] is not text"),
    (lines(told(tenant="\ud800")), "line 2: Arrived.tenant: .* is not text"),
    (lines(told(prefix_ids=["a"])), "line 2: Arrived.prefix_ids: .* is not whole numbers"),
    (lines(told(keep="zzz")), "line 2: Arrived.keep: 'zzz' is not one of any, device, server"),
    (lines(told(nobody=1)), "line 2: Arrived: .*nobody"),
    (lines(told(), left(outcome="zzz")), "line 3: Left.outcome: 'zzz' is not one of ok, failure"),
    (lines(told(decisions=[{"kind": "Answer", "request_id": "r1", "source": "zzz", "answer_of": "q"}])),
     "line 2: Answer.source: 'zzz' is not one of cache, flight, device"),
    (lines(told(event={"kind": "Wake", "at_ns": 3})), "line 2: kind 'Wake' is not one of Arrived"),
    (lines(told(decisions=[{"kind": "Time"}])), "line 2: kind 'Time' is not one of Reject"),
    (lines(told(decisions={})), "line 2: decisions is no list"), (lines(told(event=["Time"])), "line 2: .* no table"),
    (lines([1]), "line 2: is no entry"), (lines({"now_ns": 1}), "line 2: is no entry"),
    (lines(head={**HEAD, "facts": {"custom": ["a"]}}), "line 1: facts.custom is no table"),
    (lines(head={**HEAD, "facts": []}), "line 1: facts is no table"),
    (lines(head={**HEAD, "schema": True}), "line 1: schema True"), (lines(head=[]), "line 1: not a journal"),
    (["[" * 200_000], "line 1: tables in tables"), ([lines()[0], '{"now_ns": 5, "ev'], "line 2: is no JSON"),
])
def test_what_is_damaged_is_named_by_its_line(tmp_path: Path, text: list[str], says: str) -> None:
    path = tmp_path / "seed-1.journal.jsonl"
    path.write_text("".join(text))
    with pytest.raises(UsageError, match=f": journal {says}") as refused:
        journals.load(path)
    assert len(str(refused.value)) < 400


def test_what_the_plane_cannot_be_told_is_no_bug() -> None:
    """Each entry is well formed; two of one id at once are not."""
    journal = PlaneJournal.parse(lines(told(), told(6)))
    for read in (lambda: journals.replay(journal, {}), lambda: explain(journal, "r1", {})):
        with pytest.raises(UsageError, match="cannot be replayed: request r1: is inside already"):
            read()


def test_no_name_makes_a_line_of_its_own() -> None:
    evil = "evil\n    0.000009 s  r1 FORGED finish\x1b[31m"
    journal = PlaneJournal.parse(lines(told(tenant=evil)))
    story = explain(journal, "r1", {}).lines()
    shown = [text for one in journals.show(journal) for text in (one["event"], *one["decisions"])]
    for text in (*story, *shown):
        assert text.isprintable(), text
    assert any("evil\\n    0.000009 s  r1 FORGED finish\\x1b[31m" in text for text in story)


@pytest.mark.parametrize(("text", "shown"), [
    ("plain, naïve, 日本", "plain, naïve, 日本"), ("a\nb\tc", "a\\nb\\tc"), ("\x1b[2J", "\\x1b[2J"), ("\x9b", "\\x9b"),
    ("\u202e\u2028\ud800", "\\u202e\\u2028\\ud800"), ("", ""),
])
def test_one_line_shows_what_is_not_printed_by_its_number(text: str, shown: str) -> None:
    assert one_line(text) == shown
