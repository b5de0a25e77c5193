"""The timeline obeys the trace event format's own rules, and shows every iteration and request of the run."""

import gzip
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workbench.cli.sim import group
from workbench.errors import UsageError
from workbench.flows.sim import run_scenario
from workbench.flows.trace import Window, trace
from workbench.profile.model import Linear
from workbench.profile.profile import Profile, write
from workbench.runlog.table import read

TEXT = """
title = "small KV"
seeds = [3, 4]
[workload]
requests = 40
arrivals = { kind = "poisson", rate_per_s = 30.0 }
prompt_tok = { kind = "lognormal", p50_tok = 60, p95_tok = 200, max_tok = 300 }
output_tok = { kind = "lognormal", p50_tok = 20, p95_tok = 60, max_tok = 90 }
[fleet]
profile = "p.json"
replicas = 2
[policies]
window = 8
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = Linear(coefficients_fs={"step": 10 * 10**12, "prefill_tok": 10**11, "decode_n": 10**12})
    write(Profile.model_validate({
        "source": "measured", "model": model.model_dump(), "kv_blocks": 40, "block_tok": 16,
        "rules": {"engine": "vllm", "max_num_seqs": 8, "max_num_batched_tokens": 256}}), tmp_path / "p.json")
    (tmp_path / "s.toml").write_text(TEXT)
    run_scenario(tmp_path / "s.toml", tmp_path / "run")
    return tmp_path


def check(found: dict[str, Any]) -> None:
    """The rules of "Trace Event Format" for the kinds that are used; raises AssertionError."""
    required = {"M": {"name", "pid", "args"}, "X": {"name", "pid", "tid", "ts", "dur"},
                "C": {"name", "pid", "ts", "args"}, "b": {"name", "cat", "id", "pid", "ts"},
                "e": {"name", "cat", "id", "pid", "ts"}}
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    open_: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for item in found["traceEvents"]:
        assert required[item["ph"]] <= item.keys(), item
        assert item["ph"] == "M" or item["ts"] >= 0
        if item["ph"] == "X":
            assert item["dur"] > 0
            tracks[item["pid"], item["tid"]].append((item["ts"], item["dur"]))
        if item["ph"] == "C":
            assert item["args"]
            assert all(isinstance(value, int) and value >= 0 for value in item["args"].values())
        if item["ph"] == "b":
            stack = open_[item["cat"], item["id"]]
            assert not stack or stack[-1][1] <= item["ts"], "nested inside its parent"
            stack.append((item["name"], item["ts"]))
        if item["ph"] == "e":
            name, began = open_[item["cat"], item["id"]].pop()
            assert (name, began <= item["ts"]) == (item["name"], True)
    assert not any(open_.values()), "every asynchronous slice ends"
    for slices in tracks.values():
        for (a, dur), (b, _) in itertools.pairwise(sorted(slices)):
            assert a + dur <= b + 1e-6, "slices of one track do not overlap"


def test_the_format_and_the_counts(folder: Path) -> None:
    about = trace(folder / "run", folder / "t.json", seed=4)
    found = json.loads((folder / "t.json").read_text())
    check(found)
    summary = json.loads((folder / "run/summary.json").read_text())["runs"][1]
    assert about["iterations"] == summary["sim"]["iterations"]
    assert about["slices"] < about["iterations"], "equal decodes in a row are one slice"
    assert about["requests"] == 40
    log = read(folder / "run/seed-4.parquet")
    slices = [item for item in found["traceEvents"] if item["ph"] == "X"]
    prompts = sum(item["args"]["prefill_tok"] for item in slices)
    assert prompts >= log.ints("prompt_tok").sum(), "each prompt token once, again after a preemption"
    assert max(item["args"]["kv_blocks"] for item in slices) <= 40
    assert sum(item["dur"] for item in slices) * 1e3 == pytest.approx(
        sum(summary["sim"]["busy_frac_by_replica"]) * summary["sim"]["duration_s"] * 1e9)
    ends = {item["id"]: item["ts"] for item in found["traceEvents"] if item["ph"] == "e" and item["name"] == "decode"}
    assert [round(ends[row.request_id] * 1e3) for row in log.rows()] == [row.last_token_ns for row in log.rows()]
    last = [item for item in found["traceEvents"] if item["ph"] == "C" and item["name"].startswith("replica")]
    assert {item["name"] for item in last} == {"replica 0", "replica 1"}
    for name in ("replica 0", "replica 1"):
        assert [item for item in last if item["name"] == name][-1]["args"] == {"waiting": 0, "running": 0}


def test_a_broken_timeline_would_be_found(folder: Path) -> None:
    trace(folder / "run", folder / "t.json")
    found = json.loads((folder / "t.json").read_text())
    events = found["traceEvents"]
    first = next(item for item in events if item["ph"] == "X")
    end = next(item for item in events if item["ph"] == "e")
    for broken in ([*events, first], [item for item in events if item is not end], [*events, {"ph": "X", "ts": 1}]):
        with pytest.raises((AssertionError, IndexError)):
            check({"traceEvents": broken})


def test_a_window_and_a_packed_file(folder: Path) -> None:
    whole = trace(folder / "run", folder / "t.json")
    part = trace(folder / "run", folder / "t.json.gz", window=Window(0.5, 0.7))
    found = json.loads(gzip.decompress((folder / "t.json.gz").read_bytes()))
    check(found)
    assert 0 < part["slices"] < whole["slices"]
    assert part["bytes"] < whole["bytes"] / 3
    slices = [item for item in found["traceEvents"] if item["ph"] == "X"]
    assert all(item["ts"] < 0.7e6 and item["ts"] + item["dur"] > 0.5e6 for item in slices)
    with pytest.raises(UsageError, match="later end"):
        Window(2.0, 1.0)


def test_a_pair_of_pools_has_a_track_an_engine(folder: Path) -> None:
    text = TEXT.replace("replicas = 2", """
[fleet.rules]
engine = "vllm-disaggregated"
kv_bytes_per_tok = 100_000
link_bytes_per_s = 1e9
decode_n = 2
prefill = { max_num_batched_tokens = 512 }
""")
    (folder / "d.toml").write_text(text)
    run_scenario(folder / "d.toml", folder / "pools", seed=3)
    trace(folder / "pools", folder / "d.json")
    found = json.loads((folder / "d.json").read_text())
    check(found)
    names = {item["tid"]: item["args"]["name"] for item in found["traceEvents"] if item["name"] == "thread_name"}
    assert names == {1: "prefill 0", 2: "decode 0", 3: "decode 1"}
    slices = [item for item in found["traceEvents"] if item["ph"] == "X"]
    assert {item["tid"] for item in slices} == {1, 2, 3}
    assert not any(item["args"]["decode_n"] for item in slices if item["tid"] == 1)
    assert max(item["args"]["kv_blocks"] for item in slices) <= 40


def test_what_cannot_be_shown_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match="no seed 9; it has seed-3, seed-4"):
        trace(folder / "run", folder / "t.json", seed=9)
    with pytest.raises(UsageError, match=r"no seed-N\.parquet"):
        trace(folder, folder / "t.json")
    (folder / "other.toml").write_text(TEXT.replace("30.0", "31.0"))
    with pytest.raises(UsageError, match="not the scenario that this run was made from"):
        trace(folder / "run", folder / "t.json", scenario=folder / "other.toml")
    assert trace(folder / "run", folder / "t.json", scenario=folder / "s.toml")["requests"] == 40
    assert not (folder / "run/trace.json").exists()


def test_the_command(folder: Path) -> None:
    done = CliRunner().invoke(group, ["trace", str(folder / "run"), "--out", str(folder / "t.json"), "--json"])
    assert done.exception is None
    assert json.loads(done.stdout)["origin"] == "simulated"
    shown = CliRunner().invoke(group, ["trace", str(folder / "run"), "--out", str(folder / "t.json")])
    assert "open it at ui.perfetto.dev" in shown.stdout
