"""The quality log: what is written is read, a kill at any byte costs one line, and a newer schema is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import Failure
from workbench.quality import store
from workbench.quality.rows import COLUMNS, Row
from workbench.runlog.provenance import Provenance

GOLDEN = Path(__file__).parent / "golden/quality-log-1.parquet"
WHERE = Provenance("real", "2026-11-30T12:00:00Z", engine="llama.cpp", quant="Q8_0", weights_id="ab" * 32)
ROWS = (
    Row("cloze", "cloze/0", "rivers", outcome="ok", answer="Onda", expected="Onda", correct=True, score=1.0,
        loglik=(-0.5, -2.25), margin_nats=1.75, greedy=(True, False), prompt_tok=9, output_tok=4, took_ns=12),
    Row("code", "TinyWorld/0", "add", 1, 7, "ok", correct=False, score=0.0, verdict="failed", output="return x"),
    Row("cloze", "cloze/1", error="HTTP 500: out of memory"),
)


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    store.write(store.QualityLog(WHERE, ROWS, tasks={"cloze": {"sha256": "x"}}), tmp_path / store.ROWS)
    found = store.read(tmp_path)
    assert found.rows == ROWS
    assert found.provenance == WHERE
    assert found.tasks == {"cloze": {"sha256": "x"}}
    assert list(found.frame.columns) == list(COLUMNS)


def test_schema_1_is_read() -> None:
    assert store.read(GOLDEN).rows == ROWS


def test_a_newer_schema_is_refused_naming_both(tmp_path: Path) -> None:
    (tmp_path / store.PART).write_text('{"kind": "workbench.quality-log", "schema": 2}\n')
    with pytest.raises(Failure, match="schema 2; this version reads 1 to 1"):
        store.read(tmp_path)


@settings(max_examples=25)  # each syncs a file
@given(cut=st.integers(0, 400))
def test_a_kill_at_any_byte_costs_at_most_the_last_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    growing = store.Growing(folder, WHERE, {})
    for row in ROWS:
        growing.add(row)
    growing.close()
    path = folder / store.PART
    whole = path.read_bytes()
    kept = whole[: len(whole) - min(cut, len(whole) - whole.index(b"\n") - 1)]
    path.write_bytes(kept)
    found = store.read(folder)
    assert found.partial
    assert found.rows == ROWS[: kept.count(b"\n") - 1]
    again = store.Growing(folder, found.provenance, {}, found.rows)
    for row in ROWS[len(again.rows):]:
        again.add(row)
    assert again.finish().rows == store.read(folder).rows == ROWS
    assert not path.exists()


def test_an_item_is_never_added_twice(tmp_path: Path) -> None:
    growing = store.Growing(tmp_path, WHERE, {})
    growing.add(ROWS[0])
    with pytest.raises(ValueError, match="is there already"):
        growing.add(replace(ROWS[0], correct=False))
    growing.close()


def test_what_is_no_quality_log_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / store.ROWS).write_bytes(b"PAR1")
    with pytest.raises(Failure, match=r"rows.parquet: not a quality log"):
        store.read(tmp_path)
    with pytest.raises(Failure, match="no such quality log"):
        store.read(tmp_path / "nothing")
