"""Every shipped plane scenario: conservation at every event, the same journal twice, and a replay that agrees."""

from collections import Counter
from typing import Any

import pytest
from shipped import NAMES, case_of, rows, text_of

from sims.plane import run as plane_run
from sims.plane.driver import PlaneDriver
from sims.plane.run import PlaneResult
from workbench.control.plane.events import Answer, Charge, Finish, Left, Reject, Release
from workbench.control.plane.journal import PlaneJournal, first_difference

ENDS = (Reject, Answer, Finish)


class Watching(PlaneDriver):
    """The driver itself, which after every event also counts the KV blocks of every replica."""

    counted = most = 0

    def tell(self, event: Any) -> None:
        super().tell(event)
        for station in self.stations:
            batcher: Any = station.replica.batcher  # type: ignore[attr-defined]
            kv, jobs = batcher.kv, [*batcher._running, *batcher._leaving]
            shared = {id(block) for job in jobs for block in job.shared}
            held = len(shared) + sum(job.blocks - len(job.shared) for job in jobs)
            assert kv.capacity - kv.free == held <= kv.capacity
            Watching.counted += 1
            Watching.most = max(Watching.most, held)

    def run(self, horizon_ns: int | None = None) -> int:
        stop_ns = super().run(horizon_ns)
        for station in self.stations:
            if not self._live:
                assert station.replica.batcher.kv.free == station.replica.batcher.kv.capacity  # type: ignore[attr-defined]
        return stop_ns
SIZE = 120  # requests in the fast tests; the slow ones play all
BY_TOKEN: dict[str, Any] = {"billing": {"prices": [
    {"model": "*", "kind": kind, "flat": 1} for kind in ("input", "output")]}}  # a pico-USD for each token


def told(found: PlaneResult) -> list[str]:
    assert found.journal is not None
    return [*found.journal.lines()]


def check_requests(found: PlaneResult) -> None:
    """Each that arrived ends once or is still inside; the log has a row for each."""
    tally, every = found.plane.desk.tally, rows(found)
    assert found.journal is not None
    ended = Counter(one.request_id for entry in found.journal.entries for one in entry.decisions
                    if isinstance(one, ENDS))
    assert set(ended.values()) == {1}
    assert tally.arrived == sum(row["sent_ns"] is not None for row in every)
    assert tally.ended == len(ended) == tally.arrived - len(found.plane.desk.inside)
    assert len({row["request_id"] for row in every}) == len(every)
    assert {row["request_id"] for row in every if row["outcome"] != "unfinished"} >= set(ended)


def check_tokens(found: PlaneResult) -> None:
    """What replicas put out is what the log shows, and what was charged, but for what nobody is charged for."""
    assert found.journal is not None
    out = {one.request_id: one.output_tok for entry in found.journal.entries
           if isinstance(one := entry.event, Left) and one.outcome == "ok"}
    answered = {one.request_id for entry in found.journal.entries for one in entry.decisions
                if isinstance(one, Answer)}
    charged = {one.request_id: one.price_pusd for entry in found.journal.entries for one in entry.decisions
               if isinstance(one, Charge)}
    released = {one.request_id for entry in found.journal.entries for one in entry.decisions
                if isinstance(one, Release)}
    for row in rows(found):
        name, got = row["request_id"], row["output_tok"] or 0
        paid = charged.get(name, 0)
        if row["outcome"] != "ok":
            assert paid <= got + (row["asked_prompt_tok"] if got else 0), "no more than went out"
            assert got == 0 or name in released
        elif name in answered:
            assert paid == 0, "an answer that was there costs nothing"
            assert got == row["asked_output_tok"]
        else:
            assert got == out[name] == row["asked_output_tok"]
            assert paid == got + row["asked_prompt_tok"]
    assert found.plane.desk.billing is not None
    assert sum(charged.values()) == found.plane.desk.tally.charged_pusd == -found.plane.desk.billing.ledger.group(
        "revenue")
    assert sum(found.plane.desk.billing.ledger.balances().values()) == 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_and_the_same_happens_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(text_of(name))
    with monkeypatch.context() as patched:
        patched.setattr(plane_run, "PlaneDriver", Watching)
        Watching.counted = Watching.most = 0
        found = case.run(1, requests=SIZE, control=BY_TOKEN, checked=True, mode="oracle")
    assert Watching.counted > SIZE
    assert Watching.most > 0
    check_requests(found)
    check_tokens(found)
    assert told(case.run(1, requests=SIZE, control=BY_TOKEN)) == told(found)
    assert found.journal is not None
    assert first_difference(PlaneJournal.parse(told(found))) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_in_the_whole_scenario_with_any_of_its_seeds(name: str) -> None:
    case = case_of(text_of(name))
    for seed in case.scenario.seeds:
        found = case.run(seed, checked=True)
        check_requests(found)
        assert found.journal is not None
        assert first_difference(found.journal) is None


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_by_saying_what_to_learn_and_which_line_to_change(name: str) -> None:
    lines = text_of(name).splitlines()
    comment = lines[:next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert 4 <= len(comment) <= 8
    assert comment[0].startswith("# What to learn: ")
    assert max(map(len, lines)) <= 122
