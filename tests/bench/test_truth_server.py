"""The truth server: what it says it wrote is what was read, and never earlier than it says."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Planned

N, FEWEST_TOK = 6, 8  # each answer has another length: that tells which is which, in whatever order they came


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    program = Path(__file__).parents[2] / "benchmarks" / "truth_server.py"
    server = subprocess.Popen([sys.executable, str(program), "--ttft-ms", "20", "--itl-ms", "2"],
                              stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()


def test_every_answer_was_written_when_it_says(port: int, tmp_path: Path) -> None:
    schedule = [Planned(f"r{i}", i * 30_000_000, 5, FEWEST_TOK + i) for i in range(N)]
    log = run(Target(f"http://127.0.0.1:{port}", "truth"), schedule, ["hello"] * N, tmp_path / "run.parquet",
              collect("real"))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/truth") as found:
        true = sorted(json.loads(found.read()), key=len)
    zero_ns = log.provenance.client["zero_monotonic_ns"]
    rows = sorted(log.rows(), key=lambda row: row.output_tok or 0)
    for tokens, row, (arrived_ns, *written_ns) in zip(range(FEWEST_TOK, FEWEST_TOK + N), rows, true, strict=True):
        assert (row.outcome, row.output_tok, len(written_ns)) == ("ok", tokens, tokens)
        assert row.sent_ns is not None
        assert row.chunk_ns is not None
        assert row.sent_ns + zero_ns <= arrived_ns + 1000, "a request arrives after it was sent, to a microsecond"
        assert written_ns[0] - arrived_ns >= 20_000_000, "the first token is not early"
        assert all(b - a > 0 for a, b in zip([arrived_ns, *written_ns], written_ns, strict=False))
        assert all(seen + zero_ns >= wrote for seen, wrote in zip(row.chunk_ns, written_ns, strict=True))


def test_what_was_told_is_forgotten(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/truth") as found:
        assert json.loads(found.read()) == []
