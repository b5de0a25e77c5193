"""optimum-benchmark's report (version 0.6.0) beside a run log: by definition, and refused where it has changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines import own
from workbench.errors import Failure, UsageError
from workbench.flows.quality_compare import NAME, compare
from workbench.quality.optimum import figures, read
from workbench.runlog.table import read as read_log
from workbench.runlog.table import write as write_log


def latency(mean: float) -> dict[str, Any]:
    return {"unit": "s", "values": [mean], "count": 1, "total": mean, "mean": mean, "p50": mean, "p90": mean,
            "p95": mean, "p99": mean, "stdev": 0.0, "stdev_": 0.0}


REPORT = {
    "generate": {"latency": latency(1.0), "throughput": {"unit": "tokens/s", "value": 9.0}},
    "prefill": {"latency": latency(0.1), "throughput": {"unit": "samples/s", "value": 10.0}},
    "decode": {"latency": latency(0.9), "throughput": {"unit": "tokens/s", "value": 10.0}},
}


def test_figures_are_set_side_by_side_by_definition() -> None:
    first, between, whole, speed = figures(REPORT, {"ttft_s": 0.2, "tpot_s": 0.1, "e2e_s": None}, 10)
    assert (first.theirs, first.ours, first.ratio) == (0.1, 0.2, 2.0)
    assert between.theirs == pytest.approx(0.1), "0.9 s for the nine tokens after the first"
    assert (whole.theirs, whole.ratio) == (1.0, None)
    assert (speed.theirs, speed.ours) == (10.0, None)


def test_a_report_that_has_changed_is_refused(tmp_path: Path) -> None:
    changed = {"prefill": {"latency": latency(0.1) | {"unit": "ms"}}}
    with pytest.raises(Failure, match=r"prefill.latency is in 'ms', not 's'"):
        figures(changed, {}, 4)
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"report": REPORT}))
    assert read(path) == REPORT, "with its configuration around it, or alone"
    path.write_text("{}")
    with pytest.raises(Failure, match=r"r.json: not a report of optimum-benchmark"):
        read(path)


def test_beside_a_run_log_of_ours(tmp_path: Path) -> None:
    golden = Path(__file__).parent.parent / "core" / "golden" / "runlog-1.parquet"
    path = tmp_path / "benchmark_report.json"
    path.write_text(json.dumps(REPORT))
    found = compare(golden, "tiny", report=path)
    assert found["figures"][0]["theirs"] == 0.1
    assert found["figures"][0]["ours"] is not None
    assert len(found["warnings"]) == 2, "no engine is named there, and how many were in flight is not"
    simulated = tmp_path / "simulated.parquet"
    log = read_log(golden)
    write_log(replace(log, provenance=replace(log.provenance, world="simulated")), simulated)
    with pytest.raises(UsageError, match="of a simulation"):
        compare(simulated, "tiny", report=path)


@pytest.mark.slow
def test_it_really_runs_beside_ours() -> None:
    if own.installed(NAME) is None:
        pytest.skip("optimum-benchmark's environment is 1.6 GB: workbench quality compare RUN MODEL --install")
    found = compare(Path(__file__).parent.parent / "core" / "golden" / "runlog-1.parquet", "tiny")
    theirs = {one["name"]: one["theirs"] for one in found["figures"]}
    output_tok = found["shape"]["output_tok"]
    assert output_tok > 1
    assert all(value > 0 for value in theirs.values())
    first, between, whole, speed = theirs.values()
    assert whole == pytest.approx(first + between * (output_tok - 1), rel=0.5), "of other repetitions"
    assert speed == pytest.approx(1 / between, rel=0.05), "decode alone"
