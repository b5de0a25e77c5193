"""Whole sweeps on an engine that fails at random: exactly one valid row per point, and nothing runs afterwards."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standin import FAULTS, Faults, Service, service

from workbench.config import parse
from workbench.flows.sweeps.budget import Budget
from workbench.flows.sweeps.points import points
from workbench.flows.sweeps.run import Sweep
from workbench.flows.sweeps.spec import SweepSpec
from workbench.flows.sweeps.store import INDEX, PART, read_rows
from workbench.runlog.table import read

TEXT = """
name = "t"
max_point_s = 1.0
telemetry_interval_s = 0.2
[[engine]]
name = "fake"
options = OPTIONS
[[workload]]
name = "w"
requests = 4
prompt_tok = { kind = "fixed", tok = 8 }
output_tok = { kind = "fixed", tok = 4 }
[load]
concurrency = LOADS
"""
NO_LIMIT = (None, None, None)


def spec_of(settings: int, loads: int) -> SweepSpec:
    options = "[" + ", ".join(f"{{ slots = {i + 1} }}" for i in range(settings)) + "]"
    return parse(SweepSpec, TEXT.replace("OPTIONS", options).replace("LOADS", str(list(range(1, loads + 1)))), "t.toml")


@pytest.fixture(scope="module")
def served() -> Iterator[Service]:
    with service() as found:
        yield found


def run_to_the_end(spec: SweepSpec, folder: Path, faults: Faults) -> tuple[dict[str, Any], int]:
    """Rerun after each interruption, as a user does; (the last result, interruptions)."""
    interrupted = 0
    while True:
        try:
            return Sweep(spec, folder, Budget.begin(*NO_LIMIT), start=faults.start).run(), interrupted
        except KeyboardInterrupt:
            interrupted += 1
            assert faults.running == 0


def check(spec: SweepSpec, folder: Path, faults: Faults) -> list[dict[str, Any]]:
    rows = read_rows(folder)
    assert Counter(row["id"] for row in rows) == Counter(point.id for point in points(spec))
    assert not list(folder.glob(f"points/*{PART}"))
    assert not (folder / "superseded").exists()
    assert len((folder / INDEX).read_text().splitlines()) == len(rows)
    assert faults.running == 0
    for row in rows:
        assert (row["status"] == "ok") == (row["failure"] is None)
        if row["status"] == "ok":
            assert read(folder / "points" / row["id"] / "run.parquet").outcomes()["ok"] == 4
    return rows


def faulty(settings_n: int, loads_n: int, drawn: Sequence[str | None], served: Service) -> None:
    spec = spec_of(settings_n, loads_n)
    with TemporaryDirectory() as name:
        folder, faults = Path(name) / "sweep", Faults(served, drawn)
        result, interrupted = run_to_the_end(spec, folder, faults)
        rows = check(spec, folder, faults)
        taken = Counter(drawn[: len(drawn) - len(faults.drawn)])
        assert interrupted == taken["interrupt"]
        kinds = Counter(row["failure"]["kind"] for row in rows if row["failure"])
        assert kinds["dies"] == taken["dies"]
        assert kinds["no answer"] == taken["errors"]
        assert kinds["too slow"] == taken["slow"]
        assert kinds["out of memory"] == taken["out of memory"]
        assert kinds["hangs at start"] == taken["hangs at start"]
        assert result["ok"] == len(rows) - sum(kinds.values())


def test_every_kind_of_fault_is_a_labelled_point_and_the_sweep_goes_on(served: Service) -> None:
    faulty(2, 3, ["hangs at start", "dies", "out of memory", "errors", "slow", "interrupt"], served)


def test_a_rerun_measures_nothing_again_and_retries_failures_only_when_asked(served: Service, tmp_path: Path) -> None:
    spec, faults = spec_of(1, 2), Faults(served, ["errors"])
    run_to_the_end(spec, tmp_path, faults)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("points/*/*")}
    again = Sweep(spec, tmp_path, Budget.begin(*NO_LIMIT), start=faults.start).run()
    assert (again["ran"], again["kept"], faults.starts) == (0, 2, 2)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("points/*/*")}
    retried = Sweep(spec, tmp_path, Budget.begin(*NO_LIMIT), start=faults.start, retry_failed=True).run()
    assert (retried["ran"], retried["ok"]) == (1, 2)
    assert len(list((tmp_path / "superseded").iterdir())) == 1


def test_a_disturbed_point_is_measured_again_only_when_asked(served: Service, tmp_path: Path) -> None:
    spec, faults = spec_of(1, 2), Faults(served, [])
    run_to_the_end(spec, tmp_path, faults)
    for row in read_rows(tmp_path)[:1]:
        path = tmp_path / "points" / row["id"] / "point.json"
        path.write_text(json.dumps(row | {"guards": row["guards"] | {"others_frac": 0.5}}))
    again = Sweep(spec, tmp_path, Budget.begin(*NO_LIMIT), start=faults.start).run()
    assert (again["ran"], again["kept"]) == (0, 2)
    retried = Sweep(spec, tmp_path, Budget.begin(*NO_LIMIT), start=faults.start, retry_disturbed=True).run()
    assert (retried["ran"], retried["kept"]) == (1, 1)
    assert len(list((tmp_path / "superseded").iterdir())) == 1


def test_two_bad_starts_in_a_row_label_the_rest_of_the_setting_untried(served: Service, tmp_path: Path) -> None:
    faults = Faults(served, ["out of memory"] * 2)
    result, _ = run_to_the_end(spec_of(1, 4), tmp_path, faults)
    assert result["failed"] == {"out of memory": 2, "not tried": 2}
    assert faults.starts == 2
    tails = [row["failure"]["log_tail"] for row in read_rows(tmp_path) if row["failure"]["kind"] == "out of memory"]
    assert tails == [["loading", "CUDA out of memory"]] * 2


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_and_begins_anew_for_another_slo(served: Service, tmp_path: Path) -> None:
    text = TEXT.replace("OPTIONS", "[{}]").replace("requests = 4", "requests = 6").replace(
        "concurrency = LOADS", "search = { slo = { ttft_s = 20.0 }, from_rate_per_s = 50.0, most_rate_per_s = 100.0 }")

    def again(text: str, *drawn: str | None) -> dict[str, Any]:
        return run_to_the_end(parse(SweepSpec, text, "t.toml"), tmp_path, Faults(served, drawn))[0]

    first = again(text, None, "interrupt")
    assert (first["points"], first["kept"], first["searches"][0]["rate_per_s"]) == (2, 1, 100.0)
    assert (again(text)["ran"], again(text)["kept"]) == (0, 2)
    assert again(text.replace("20.0", "19.0"))["ran"] == 2
    assert len(list((tmp_path / "superseded").iterdir())) == 2


def test_a_point_that_does_not_fit_is_not_begun(served: Service, tmp_path: Path) -> None:
    faults = Faults(served, [])
    budget = Budget.begin(1.0, None, 0.001)
    result = Sweep(spec_of(1, 2), tmp_path, budget, start=faults.start).run()
    assert (result["points"], faults.starts) == (0, 0)
    assert "left of 0 s" in result["stopped"]


@pytest.mark.slow
@settings(max_examples=1)
@given(st.lists(st.sampled_from([None] * 20 + list(FAULTS)), min_size=230, max_size=230))
def test_two_hundred_points_with_random_faults(served: Service, drawn: list[str | None]) -> None:
    spec = spec_of(20, 10)
    with TemporaryDirectory() as name:
        folder, faults = Path(name) / "sweep", Faults(served, drawn)
        run_to_the_end(spec, folder, faults)
        assert len(check(spec, folder, faults)) == 200
