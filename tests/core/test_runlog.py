"""The run log keeps every request: round trips, kills at any byte, newer versions refused."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import Failure
from workbench.runlog import COLUMNS, OUTCOMES, SCHEMA, Planned, Row
from workbench.runlog.part import PartWriter, header, line, part_path, read_part
from workbench.runlog.provenance import Provenance, collect
from workbench.runlog.table import RunLog, finish, read, write

GOLDEN = Path(__file__).parent / "golden"
PROVENANCE = Provenance(world="real", started_at_utc="2026-01-01T00:00:00Z", model="tiny", seeds={"load": 7})
times = st.none() | st.integers(0, 10**13)
rows = st.builds(
    Row, request_id=st.uuids().map(str), tenant=st.sampled_from(["a", "b"]), prompt_tok=times, output_tok=times,
    intended_ns=times, sent_ns=times, first_token_ns=times, last_token_ns=times, end_ns=times, warmup=st.booleans(),
    outcome=st.sampled_from(OUTCOMES), error=st.none() | st.text(max_size=20),
    chunk_ns=st.none() | st.lists(st.integers(0, 10**13), max_size=4).map(tuple),
)


@settings(max_examples=40)
@given(st.lists(rows, max_size=8))
def test_parquet_and_part_give_back_every_row(tmp_path_factory: pytest.TempPathFactory, made: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = RunLog.from_rows(PROVENANCE, made)
    assert read(write(log, folder / "a.parquet")).rows() == made
    writer = PartWriter(part_path(folder / "b.parquet"), PROVENANCE, ())
    writer.write(made)
    writer.close()
    assert finish(folder / "b.parquet", partial=False).rows() == made
    assert not part_path(folder / "b.parquet").exists()
    assert sum(log.outcomes().values()) == len(made)


@given(st.integers(0, 400))
def test_a_kill_at_any_byte_leaves_every_planned_request_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    plan = [Planned(f"r{i}", i * 10, 5, 6) for i in range(4)]
    body = "".join(line(Row(request_id=f"r{i}", outcome="ok", sent_ns=i)) for i in (2, 0, 3))
    path = tmp_path_factory.mktemp("kill") / "x.part.jsonl"
    path.write_bytes((header(PROVENANCE, plan) + body[:cut]).encode())
    log = read(path)
    assert log.partial
    assert sorted(log.text("request_id")) == ["r0", "r1", "r2", "r3"]
    finished = body[:cut].count("\n")
    assert log.outcomes()["ok"] == finished
    assert log.outcomes()["unfinished"] == 4 - finished


def test_the_columns_of_the_contract_are_there() -> None:
    contract = """request_id tenant tier model engine replica prompt_tok cached_tok output_tok intended_ns sent_ns
        admit_ns start_ns first_token_ns last_token_ns end_ns warmup outcome error cost_pusd price_pusd
        preemptions attempts
        chunk_ns chunk_tok""".split()
    assert set(contract) <= set(COLUMNS)
    assert all({"unit", "doc", "real", "simulated"} <= item.metadata.keys() for item in fields(Row))


def test_golden_file_of_schema_1_reads() -> None:
    log = read(GOLDEN / "runlog-1.parquet")
    assert log.provenance.schema == 1
    assert log.rows()[0].chunk_ns == (10, 20, 30)
    assert log.rows()[1].outcome == "error"


def test_a_newer_schema_is_refused_naming_both(tmp_path: Path) -> None:
    path = tmp_path / "new.part.jsonl"
    top = json.loads(header(PROVENANCE, ()))
    path.write_text(json.dumps(top | {"schema": SCHEMA + 1}) + "\n")
    with pytest.raises(Failure, match=f"schema {SCHEMA + 1}; this version reads 1 to {SCHEMA}"):
        read_part(path)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"PAR1 garbage", b"\xff\xfe\n"])
def test_garbage_is_one_line(tmp_path: Path, content: bytes) -> None:
    for name in ("x.part.jsonl", "x.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Failure, match=r"not a run log"):
            read(tmp_path / name)
    with pytest.raises(Failure, match="no such run log"):
        read(tmp_path / "missing.parquet")


@pytest.mark.parametrize(("old", "new"), [
    ('"schema":1,"prov', '"schema":null,"prov'), ('"schedule":[', '"schedule":[[1,2,3,4,5,6,7,8,9],'),
    ("\n{", "\n{broken\n{"), ("\n{", "\n5\n{"), ('"machine":null', '"machine":{"x":1}'),
])
def test_a_damaged_part_file_is_one_line(tmp_path: Path, old: str, new: str) -> None:
    text = header(PROVENANCE, [Planned("r0", 0, 5, 6)]) + line(Row(request_id="r0", outcome="ok"))
    assert old in text
    (tmp_path / "x.part.jsonl").write_text(text.replace(old, new, 1))
    with pytest.raises(Failure, match=r"x.part.jsonl: (damaged run log|run log schema)"):
        read(tmp_path / "x.part.jsonl")


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), tmp_path / "f.parquet")
    with pytest.raises(Failure, match="not a run log"):
        read(tmp_path / "f.parquet")


def test_lists_are_flattened_with_their_rows() -> None:
    log = RunLog.from_rows(PROVENANCE, [
        Row(request_id="a", chunk_ns=(1, 2)), Row(request_id="b"), Row(request_id="c", chunk_ns=()),
        Row(request_id="d", chunk_ns=(7,)),
    ])
    row, values = log.lists("chunk_ns")
    assert row.tolist() == [0, 0, 3]
    assert values.tolist() == [1, 2, 7]
    filtered = log.where(np.array([False, True, True, True]))
    assert filtered.lists("chunk_ns")[1].tolist() == [7]


def test_provenance_says_what_ran_and_not_who() -> None:
    import getpass
    import socket

    made = collect("real", config_text='api_key = "sk-canary0123456789abcdef"', seeds={"load": 1})
    text = json.dumps(made.as_dict())
    assert "sk-canary" not in text
    assert made.config_sha256
    assert made.packages["numpy"]
    for secret in (socket.gethostname(), str(Path.home()), str(Path.cwd())):
        assert secret not in text or len(secret) < 3
    assert getpass.getuser() == "root" or getpass.getuser() not in text
    assert Provenance.from_dict(json.loads(text) | {"from_the_future": 1}) == replace(made)
