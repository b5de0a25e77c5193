"""A simulated run, replayed from its log alone, gives back the iterations that it was made of."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sims.replay
from sims.overheads import Overheads
from sims.replay import replay
from sims.replica.llama_cpp import LlamaCppBatcher
from sims.rules import LlamaCppRules
from sims.run import simulate
from tests.sims.timing import Linear
from workbench.runlog.schema import Planned, Row
from workbench.runlog.table import RunLog

CASES = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 60), st.integers(1, 12)), min_size=1, max_size=25)
RULES = LlamaCppRules(slots=3, n_batch=64, n_ubatch=32)


def planned(cases: list[tuple[int, int, int]]) -> list[Planned]:
    return [Planned(f"r{i:03d}", *case) for i, case in enumerate(cases)]


@given(CASES)
@settings(max_examples=50)
def test_replay_finds_every_observable_iteration_exactly(cases: list[tuple[int, int, int]]) -> None:
    """Where each iteration emits a token (a prompt fits the room it finds), all of them; else no wrong one."""
    result = simulate(planned(cases), Linear(ctx_ns=3), RULES, keep_iterations=True)
    assert result.trace is not None
    truth = {(it.start_ns, it.end_ns - it.start_ns, it.batch) for _, it in result.trace}
    found = replay(result.log, RULES)
    assert {(s.at_ns, s.ns, s.batch) for s in found.samples} <= truth
    assert found.iterations_n == len(truth)
    assert found.contradicted_n == found.overlapped_n == 0
    assert found.spread_ns == [0] * len(found.samples)
    if all(it.emitted for _, it in result.trace):
        assert len(found.samples) == len(truth)
        assert found.hidden_n == 0


def test_pieces_of_a_cut_prompt_are_hidden_and_what_follows_is_found_again() -> None:
    """200 tokens at n_batch 64: two pieces without a token; a request that came in between gets its first token
    beside the third, whose start nobody saw. From there on all five iterations are seen."""
    result = simulate(planned([(0, 200, 5), (2_500, 30, 3)]), Linear(), RULES, keep_iterations=True)
    assert result.trace is not None
    found = replay(result.log, RULES)
    truth = {(it.start_ns, it.end_ns - it.start_ns, it.batch) for _, it in result.trace}
    assert {(s.at_ns, s.ns, s.batch) for s in found.samples} <= truth
    assert (found.hidden_n, len(found.samples)) == (3, 5)


def test_overheads_are_taken_out_again() -> None:
    cases = planned([(i * 3_000, 20 + i, 5) for i in range(12)])
    plain = Overheads(in_ns=700, out_ns=300)
    result = simulate(cases, Linear(), RULES, keep_iterations=True, overheads=plain)
    assert result.trace is not None
    found = replay(result.log, RULES, engine_in_ns=700, engine_out_ns=300)
    assert [(s.batch, s.ns) for s in found.samples] == [(it.batch, it.end_ns - it.start_ns) for _, it in result.trace]


@pytest.mark.parametrize("assumed_ns", [0, 400, 700, 1_100, 1_400])
def test_tokens_tell_who_was_in_a_batch_where_the_clock_cannot(assumed_ns: int) -> None:
    """The way in is 700 ns; whatever is assumed, within the doubt every batch is found. Without doubt it is not."""
    cases = planned([(i * 2_300, 20 + i % 7, 3 + i % 4) for i in range(40)])
    result = simulate(cases, Linear(), RULES, keep_iterations=True, overheads=Overheads(in_ns=700))
    assert result.trace is not None
    truth = [it.batch for _, it in result.trace]
    found = replay(result.log, RULES, engine_in_ns=assumed_ns, doubt_ns=800)
    assert [s.batch for s in found.samples] == truth
    assert set(found.spread_ns) == {0}
    clock_only = replay(result.log, RULES, engine_in_ns=assumed_ns)
    assert ([s.batch for s in clock_only.samples] == truth) == (assumed_ns == 700)


def test_wrong_rules_are_noticed_by_the_spread() -> None:
    cases = planned([(i * 1_000, 30, 6) for i in range(20)])
    log = simulate(cases, Linear(), RULES).log
    wrong = replay(log, replace(RULES, slots=4))
    assert max(wrong.spread_ns) > 0


def test_mutant_a_replay_that_forgets_who_was_first_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots lowest id first: the property above must then break on a case with unequal contexts."""
    class Lowest(LlamaCppBatcher):
        def _admit(self) -> None:
            for slot, job in enumerate(self._slots):
                if job is None and self._queue:
                    self._slots[slot] = self._queue.popleft()

    cases = planned([(i * 1_500, 40 + 5 * i, 4 + i % 3) for i in range(20)])
    result = simulate(cases, Linear(), RULES, keep_iterations=True)
    assert result.trace is not None
    truth = {(it.start_ns, it.end_ns - it.start_ns, it.batch) for _, it in result.trace}
    monkeypatch.setattr(sims.replay, "LlamaCppBatcher", Lowest)
    assert not {(s.at_ns, s.ns, s.batch) for s in replay(result.log, RULES).samples} <= truth


def rows_of(cases: list[tuple[int, int, int]]) -> tuple[RunLog, list[Row]]:
    log = simulate(planned(cases), Linear(), RULES).log
    return log, log.rows()


def test_a_failed_row_hides_what_it_may_have_disturbed() -> None:
    log, rows = rows_of([(0, 20, 5), (50_000, 20, 5), (52_000, 20, 5)])
    broken = replace(rows[1], outcome="error", error="reset", end_ns=60_000, chunk_ns=None, chunk_tok=None)
    found = replay(RunLog.from_rows(log.provenance, [rows[0], broken, rows[2]]), RULES)
    assert found.unexplained == ("r001",)
    assert found.overlapped_n >= 1
    assert all(s.at_ns < 50_000 or s.at_ns >= 60_000 for s in found.samples)


def test_chunks_that_do_not_add_up_give_no_sample_but_keep_their_place() -> None:
    log, rows = rows_of([(0, 20, 6), (100_000, 20, 6)])
    held_back = replace(rows[0], chunk_ns=(rows[0].chunk_ns or ())[::2], chunk_tok=(1, 1, 1))
    found = replay(RunLog.from_rows(log.provenance, [held_back, rows[1]]), RULES)
    assert (found.unexplained, found.hidden_n, len(found.samples)) == (("r000",), 6, 6)


def test_a_chunk_of_several_tokens_times_its_last() -> None:
    log, rows = rows_of([(0, 20, 4)])
    times = rows[0].chunk_ns or ()
    lumped = replace(rows[0], chunk_ns=(times[0], times[2], times[3]), chunk_tok=(1, 2, 1))
    found = replay(RunLog.from_rows(log.provenance, [lumped]), RULES)
    assert [s.batch.decode_ctx_sum_tok for s in found.samples] == [0, 23]
    assert found.hidden_n == 2


def test_cached_prompt_tokens_are_not_computed() -> None:
    log, rows = rows_of([(0, 20, 2)])
    found = replay(RunLog.from_rows(log.provenance, [replace(rows[0], cached_tok=15)]), RULES)
    assert found.samples[0].batch.prefills == ((5, 15),)


def test_never_sent_or_rejected_rows_do_not_matter() -> None:
    log, rows = rows_of([(0, 20, 2), (0, 5_000, 2)])
    unsent = Planned("r009", 5, 5, 5).unfinished()
    assert [row.outcome for row in rows] == ["ok", "rejected"]
    assert replay(RunLog.from_rows(log.provenance, [*rows, unsent]), RULES).unexplained == ()


def test_iterations_read_at_once_are_dropped_with_their_neighbours() -> None:
    """Tokens 3 and 4 of 8 are read with 5: 3 seems long, 4 and 5 take no time, 6 begins late; the rest is true."""
    log, rows = rows_of([(0, 20, 8)])
    times = list(rows[0].chunk_ns or ())
    late = replace(rows[0], chunk_ns=(*times[:2], times[4], times[4], *times[4:]))
    true, found = (replay(RunLog.from_rows(log.provenance, [row]), RULES) for row in (rows[0], late))
    assert [s.at_ns for s in found.samples] == [true.samples[i].at_ns for i in (0, 1, 6, 7)]
    assert {(s.at_ns, s.ns) for s in found.samples} <= {(s.at_ns, s.ns) for s in true.samples}
    assert (found.contradicted_n, found.blurred_n, found.iterations_n) == (2, 2, 8)


def test_tokens_further_apart_than_their_iteration_lasted_are_no_sample() -> None:
    log, rows = rows_of([(0, 20, 5), (0, 20, 5)])
    moved = replace(rows[0], chunk_ns=tuple(t + 5_000 * (i == 2) for i, t in enumerate(rows[0].chunk_ns or ())))
    found = replay(RunLog.from_rows(log.provenance, [moved, rows[1]]), RULES)
    assert max(found.spread_ns) == 5_000
    assert max(s.spread_ns for s in found.samples) == 0
    assert found.blurred_n >= 1
