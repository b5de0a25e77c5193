"""Chunk times as segments: stored, read back and summarised as if every token had been written out."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sims.record
from sims.rules import VllmRules
from sims.run import simulate
from tests.sims.test_macro import CASES, LINEAR, Case, Vector
from workbench.errors import Failure
from workbench.metrics import summarise, values
from workbench.runlog import table
from workbench.runlog.schema import Planned
from workbench.runlog.segments import Segments
from workbench.runlog.table import RunLog


def segmented(case: Case, monkeypatch: pytest.MonkeyPatch) -> RunLog:
    """The log of a small run, kept as a large one's is."""
    monkeypatch.setattr(sims.record, "LISTS_UP_TO", 0)
    return case.run("macro").log


@given(CASES)
@settings(max_examples=60)
def test_metrics_from_segments_equal_metrics_from_lists(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        log = segmented(case, patch)
    if log.segments is None:  # the oracle ran
        return
    listed = log.with_lists
    assert listed.rows() == log.rows()
    short, long = summarise(log), summarise(listed)
    assert json.loads(json.dumps(short), parse_float=lambda x: pytest.approx(float(x), rel=1e-9)) == long
    assert values(log, "stall_s").tolist() == values(listed, "stall_s").tolist()


RUNS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.integers(1, 30)), min_size=1, max_size=12)


@given(RUNS, st.data())
@settings(max_examples=60)
def test_order_statistics_of_weighted_progressions_are_exact(
    runs: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Hand-made segments: one iteration, then a run; every row's gaps against its expanded times."""
    made, end = [], 0
    for first, rise, count in runs:
        for fs, step, n in ((first * 10**6, 0, 1), (first * 700_001, rise * 123_457, count)):
            end += sum(max(1, (fs + 500_000 + i * step) // 10**6) for i in range(n))
            made.append((end, fs, step, n))
    spans = sorted(
        (row, 2 * data.draw(st.integers(0, len(runs) - 1))) for row in range(data.draw(st.integers(1, 4))))
    full = [(row, first, data.draw(st.integers(first, len(made) - 1))) for row, first in spans]
    segments = Segments(np.array(made), np.array(full), len(full))
    row, at = segments.expand()
    gaps = np.diff(at)[row[1:] == row[:-1]]
    assert segments.faults() is None
    assert segments.gap_n() == len(gaps)
    assert segments.gap_sum_ns() == gaps.sum()
    if len(gaps):
        assert segments.gap_max_ns() == gaps.max()
        assert [segments._gap_rank_ns(i) for i in range(len(gaps))] == sorted(gaps.tolist())


@pytest.mark.parametrize("pause_h", [2, 3, 50])
def test_a_pause_of_hours_is_a_gap_like_any_other(pause_h: int) -> None:
    """Ten rows alike, of two spans: an iteration and a rising run of three, and again the same after the pause."""
    made, end = [], 0
    for wait_ns in (0, pause_h * 3_600 * 10**9):
        end += wait_ns + 50
        made.append((end, 50 * 10**6, 0, 1))
        end += 100 + 200 + 300
        made.append((end, 100 * 10**6, 100 * 10**6, 3))
    pause_ns = made[2][0] - made[1][0]
    segments = Segments(np.array(made), np.array([(row, at, at + 1) for row in range(10) for at in (0, 2)]), 10)
    gaps = np.array([100, 200, 300, pause_ns, 100, 200, 300] * 10)
    for q in (0.0, 0.3, 0.5, 0.8, 0.95):
        assert segments.gap_quantile_ns(q) == np.quantile(gaps, q)
    assert segments.stall_ns().tolist() == [pause_ns] * 10


def test_mutant_a_span_that_is_off_by_one_is_noticed() -> None:
    log = _large().segments
    assert log is not None
    assert log.faults() is None
    spans = log.spans.copy()
    spans[5, 1] += 1
    assert Segments(log.runs, spans, log.rows).tokens.tolist() != log.tokens.tolist()
    runs = log.runs.copy()
    runs[len(runs) // 2:, 0] += 1
    assert Segments(runs, log.spans, log.rows).faults() is not None


def _large(n: int = 2_500) -> RunLog:
    schedule = [Planned(f"r{i:04d}", i * 2_000, 10 + i % 50, 1 + i % 23) for i in range(n)]
    return simulate(schedule, LINEAR, VllmRules(kv_blocks=10_000), keep_journal=False).log


def test_a_large_log_is_written_and_read_with_its_chunk_times(tmp_path: Path) -> None:
    log = _large()
    assert log.segments is not None
    path = table.write(log, tmp_path / "run.parquet")
    assert [item.name for item in tmp_path.iterdir()] == ["run.parquet"]
    again = table.read(path)
    assert again.table.equals(log.table)
    assert again.rows() == log.rows()
    assert summarise(again) == summarise(log)
    assert again.where(np.arange(len(log)) % 2 == 0).rows() == log.rows()[::2]


def test_damaged_chunk_times_are_one_line(tmp_path: Path) -> None:
    log = _large()
    assert log.segments is not None
    spans = log.segments.spans.copy()
    spans[0, 2] = 10**9
    bad = RunLog(log.provenance, log.table, segments=Segments(log.segments.runs, spans, len(log)))
    path = table.write(bad, tmp_path / "run.parquet")
    with pytest.raises(Failure, match=r"run\.parquet: its chunk times are damaged"):
        table.read(path)


def test_explicit_times_are_segments_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    log = segmented(Case([(0, 10, 50, 0)], VllmRules(kv_blocks=100), Vector()), monkeypatch)
    assert log.segments is not None
    assert len(log.segments.runs) == 50
