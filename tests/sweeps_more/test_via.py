"""`bench --via`: definitions as exact arithmetic, what clients are told, and what they may write."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.bench.target import Target
from workbench.config import validate
from workbench.errors import Failure, UsageError
from workbench.flows.bench_spec import BenchSpec
from workbench.flows.sweeps.foreign import _theirs, by_their_definition, compared, named, shape_of
from workbench.flows.sweeps.foreign_clients import CLIENTS, Asked, Client, Shape, Theirs
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Row
from workbench.runlog.table import RunLog

MS = 1_000_000
SHAPE = Shape(10, 64, 32, None, 4, 1.0, 7)
# sent at 100 ms, tokens at 150, 160, 170 and 180 ms, the stream's end at 200 ms
ROW = Row(request_id="a", prompt_tok=5, output_tok=4, sent_ns=100 * MS, first_token_ns=150 * MS, last_token_ns=180 * MS,
          end_ns=200 * MS, outcome="ok", chunk_ns=(150 * MS, 160 * MS, 170 * MS, 180 * MS), chunk_tok=(1, 1, 1, 1))
BAD = Row(request_id="b", sent_ns=100 * MS, end_ns=900 * MS, outcome="error", error="x")
LOG = RunLog.from_rows(collect("real"), [ROW, BAD])


def test_vllms_definitions() -> None:
    """TPOT without the first token; throughput from the run's begin."""
    assert by_their_definition("vllm", LOG) == pytest.approx(
        {"ttft_s": 0.05, "tpot_s": 0.01, "gap_s": 0.01, "e2e_s": 0.08, "output_tok_per_s": 4 / 0.2})


def test_guidellms_definitions() -> None:
    """TPOT with the first token's time in it, over all tokens; ITL is our TPOT; latency to the end of the stream."""
    assert by_their_definition("guidellm", LOG) == pytest.approx(
        {"ttft_s": 0.05, "tpot_s": 0.08 / 4, "itl_s": 0.01, "gap_s": 0.01, "e2e_s": 0.1, "output_tok_per_s": 4 / 0.1})


def test_a_client_that_measures_the_truth_differs_by_its_definition_alone() -> None:
    theirs = Theirs(1, 5, 4, {"ttft_s": 0.05, "tpot_s": 0.02, "itl_s": 0.01, "e2e_s": 0.1})
    rows = {row["metric"]: row for row in compared("guidellm", theirs, (LOG, LOG))}
    assert rows["tpot_s"]["difference_frac"] == pytest.approx(1.0)  # twice ours, and yet
    assert all(row["corrected_difference_frac"] == pytest.approx(0.0) for row in rows.values())
    assert all(row["noise_frac"] == 0.0 for row in rows.values())
    assert named({"metrics": list(rows.values())})[1] == (
        "tpot_s", "10.000 ms", "20.000 ms", "20.000 ms", "+100.00%", "+0.00%", "0.00%")


@pytest.mark.parametrize("name", CLIENTS)
def test_a_key_is_in_no_command_and_its_file_is_ours_alone(name: str, tmp_path: Path) -> None:
    target = Target("http://127.0.0.1:1/v1", "m", api_key="sekret-key", extra_body={"cache_prompt": False})
    words, environment = CLIENTS[name].begin(Asked(target, tmp_path, SHAPE, tmp_path))
    assert "sekret-key" not in " ".join(words)
    files = list(tmp_path.iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert "sekret-key" in "".join([*environment.values(), *(path.read_text() for path in files)])
    asked = " ".join([*words, *(path.read_text() for path in files)])
    assert '"cache_prompt": false' in asked
    assert "http://127.0.0.1:1" in asked
    assert "/v1/completions" in asked
    assert "/v1/v1" not in asked


def test_the_open_loop_asks_for_the_same_burstiness(tmp_path: Path) -> None:
    shape = Shape(10, 64, 32, 2.5, None, 2.0, 7)
    words, _ = CLIENTS["vllm"].begin(Asked(Target("http://127.0.0.1:1", "m"), tmp_path, shape, tmp_path))
    assert words[words.index("--request-rate") + 1] == "2.5"
    assert words[words.index("--burstiness") + 1] == "0.25"


def spec(**workload: Any) -> BenchSpec:
    table = {"arrivals": {"kind": "closed"}, "requests": 12, "warmup_requests": 2,
             "prompt_tok": {"kind": "fixed", "tok": 64}, "output_tok": {"kind": "fixed", "tok": 32}} | workload
    raw = {"engine": {"name": "fake"}, "workload": table}
    if table["arrivals"]["kind"] == "closed":
        raw["concurrency"] = 4
    return validate(BenchSpec, raw, "bench")


def test_what_every_client_can_be_asked_for() -> None:
    assert shape_of(spec()) == Shape(10, 64, 32, None, 4, 1.0, 0)
    gamma = shape_of(spec(arrivals={"kind": "gamma", "rate_per_s": 3, "shape": 0.25}))
    assert (gamma.rate_per_s, gamma.cv) == (3.0, 2.0)
    for change, match in (
        ({"output_tok": {"kind": "lognormal", "mean_tok": 9, "sigma": 1, "max_tok": 20}}, "lengths must be fixed"),
        ({"arrivals": {"kind": "fixed", "rate_per_s": 3}}, "closed, poisson or gamma"),
    ):
        with pytest.raises(UsageError, match=match):
            shape_of(spec(**change))


VLLM = {"completed": 2, "total_input_tokens": 10, "total_output_tokens": 8, "mean_ttft_ms": 50, "mean_tpot_ms": 10,
        "itls": [[0.01, 0.03], [0.02]], "latencies": [0.08, 0.1], "output_throughput": 20.0}
GUIDE = {"benchmarks": [{"duration": 0.5, "requests": {"successful": [
    {"prompt_tokens": 5, "output_tokens": 4, "time_to_first_token_ms": 50, "time_per_output_token_ms": 20,
     "inter_token_latency_ms": 10, "request_latency": 0.1}]}}]}


def test_what_they_write_is_read(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(VLLM))
    (tmp_path / "g.json").write_text(json.dumps(GUIDE))
    found = CLIENTS["vllm"].read(tmp_path / "v.json")
    assert (found.n, found.prompt_tok, found.output_tok) == (2, 5, 4)
    assert found.means == pytest.approx(
        {"ttft_s": 0.05, "tpot_s": 0.01, "gap_s": 0.02, "e2e_s": 0.09, "output_tok_per_s": 20.0})
    other = CLIENTS["guidellm"].read(tmp_path / "g.json")
    assert other.means == pytest.approx(
        {"ttft_s": 0.05, "tpot_s": 0.02, "itl_s": 0.01, "e2e_s": 0.1, "output_tok_per_s": 8.0})


@pytest.mark.parametrize(("script", "match"), [
    ("raise SystemExit('no such model')", "ended with code 1: no such model"),
    ("print('done')", "ended with code 0: done"),
    ("open('theirs.json', 'w').write('{}')", "another form"),
    (f"import json; open('theirs.json', 'w').write(json.dumps({VLLM | {'completed': 0}!r}))", "no request of its own"),
])
def test_a_client_that_fails_is_one_line_and_keeps_its_log(script: str, match: str, tmp_path: Path) -> None:
    client = Client("vllm", "vllm", lambda asked: (["-c", script], {}), CLIENTS["vllm"].read)
    with pytest.raises(Failure, match=match):
        _theirs(client, Path(sys.executable), Asked(Target("http://127.0.0.1:1", "m"), tmp_path, SHAPE, tmp_path))
    assert (tmp_path / "client.log").exists()
