"""The figures of a sweep as CSV."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.main import cli
from workbench.errors import ConfigError, UsageError
from workbench.flows.sweeps.export import cpu_s_per_tok, figures, spread
from workbench.flows.sweeps.figures_row import COLUMNS, SPREADS, FiguresRow, read, to_csv
from workbench.flows.sweeps.points import Point, Setting

SETTING = Setting("vllm-cpu", "m", "", 0, {"dtype": "bfloat16", "max_seqs": 8})


def write_point(folder: Path, concurrency: int, repeat: int, **metrics: float) -> None:
    point = Point(SETTING, "chat", None, concurrency, repeat, repeat)
    row = {
        "kind": "workbench.sweep-point", "schema": 1, "id": point.id, "status": "ok", "asked": point.as_dict(),
        "setting_key": SETTING.key, "label": SETTING.label, "started_at_utc": f"2026-11-3{repeat}T00:00:00Z",
        "failure": None, "fingerprint": {"engine_version": "0.32.0", "quant": "F16"}, "requests": 4, "output_tok": 128,
        "prompt_tok": 260, "metrics": metrics, "start_s": 20.0 + repeat if concurrency == 1 else None,
        "client": {"client_limited": repeat == 0}, "guards": {"others_frac": 0.3 * repeat}, "environment": "e.json",
        "telemetry": {"engine_cpu_s": 9.0, "samples": 10, "engine_pss_max_bytes": 1000 + repeat},
    }
    target = folder / "points" / point.id
    target.mkdir(parents=True)
    (target / "point.json").write_text(json.dumps(row))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    for repeat in (0, 1):
        write_point(folder, 1, repeat, output_tok_per_s=10.0 + 2 * repeat, ttft_s=0.5)
        write_point(folder, 4, repeat, output_tok_per_s=30.0 + 3 * repeat, ttft_s=0.7 + repeat)
    (folder / "environments").mkdir()
    facts = {"cpu": "C", "cores": 2, "ram_gib": 23.5, "os": "O"}
    (folder / "environments" / "e.json").write_text(json.dumps(facts))
    return folder


def test_repeats_become_a_mean_with_its_extremes(sweep: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    done = CliRunner().invoke(cli, ["sweep", "export", str(sweep), "--out", str(out)], catch_exceptions=False)
    assert (done.exit_code, "2 rows" in done.stdout) == (0, True)
    alone, four = read(out)
    assert (alone.engine, alone.quant, alone.dtype, alone.options) == ("vllm-cpu", "F16", "bfloat16", "max_seqs=8")
    assert (four.concurrency, four.requests, four.repeats, four.client_limited, four.disturbed) == (4, 4, 2, 1, 1)
    assert (four.ttft_s, four.ttft_s_low, four.ttft_s_high) == (1.2, 0.7, 1.7)
    assert (four.output_tok_per_s, four.output_tok, four.prompt_tok) == (31.5, 32.0, 65.0)
    assert (alone.batching_gain, alone.batching_gain_low, alone.batching_gain_high) == (1.0, 1.0, 1.0)
    # 31.5 / 11; the worst of one over the best of the other, and the other way round
    assert (four.batching_gain, four.batching_gain_low, four.batching_gain_high) == (2.86364, 2.5, 3.3)
    assert four.cpu_s_per_output_tok == 0.078125  # 9 s between 10 samples are 10 s in the window: / 128
    assert (four.load_s, four.loads, four.pss_bytes) == (20.5, 2, 1001)
    assert (four.tpot_s, four.machine, four.date) == (None, "C, 2 cores, 24 GiB, O", "2026-11-30")


def test_no_processor_time_is_told_where_none_was_seen() -> None:
    for telemetry in ({}, {"engine_cpu_s": None, "samples": 9}, {"engine_cpu_s": 1.0, "samples": 1}):
        assert cpu_s_per_tok({"telemetry": telemetry, "output_tok": 5}) is None


@given(st.lists(st.one_of(st.none(), st.floats(0.001, 1e6)), max_size=5))
def test_a_spread_holds_its_mean_or_is_not_known(values: list[float | None]) -> None:
    found = spread(values)
    if not values or None in values:
        assert found is None
    else:
        assert found is not None
        mean, low, high = found
        assert low * (1 - 1e-12) <= mean <= high * (1 + 1e-12)
        assert {low, high} <= set(values)


def _row(**changed: Any) -> dict[str, Any]:
    spreads = {name + end: None for name in SPREADS for end in ("", "_low", "_high")}
    return {"engine": "e", "engine_version": "1", "model": "m", "quant": "F16", "dtype": "", "options": "",
            "workload": "w", "concurrency": 1, "rate_per_s": None, "prompt_tok": None, "output_tok": 8.0, "requests": 3,
            "repeats": 2, "load_s": None, "loads": 0, "pss_bytes": None, "client_limited": 0, "disturbed": 0,
            "machine": "x, y", "date": "2026-11-30", **spreads} | changed


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=9)


@given(texts, st.floats(0, 1e9), st.one_of(st.none(), st.integers(0, 1 << 50)))
def test_what_is_written_is_read_again(text: str, seconds: float, size: int | None) -> None:
    rows = [FiguresRow(**_row(options=f"o{text}", ttft_s=seconds, ttft_s_low=seconds, ttft_s_high=seconds,
                              pss_bytes=size))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_text(to_csv(rows), encoding="utf-8", newline="")
        assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
        assert read(path) == rows


@pytest.mark.parametrize(("changed", "says"), [
    ({"concurrency": None}, "one of the two"), ({"ttft_s": 2.0, "ttft_s_low": 1.0, "ttft_s_high": 1.5}, "between"),
    ({"ttft_s": 2.0}, "known together"), ({"disturbed": 3}, "more than the repeats"),
    ({"requests": 0}, "requests"), ({"origin": "simulated"}, "origin"), ({"colour": "red"}, "colour"),
])
def test_a_wrong_row_is_one_line_with_its_number(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    row = _row(origin="measured") | changed
    text = ",".join(row) + "\n" + ",".join("" if v is None else f'"{v}"' for v in row.values()) + "\n"
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(ConfigError, match=r"f\.csv: row 1") as caught:
        read(tmp_path / "f.csv")
    assert says in str(caught.value)


def test_nothing_in_it_is_a_formula_to_a_spreadsheet() -> None:
    assert "'=1+1" in to_csv([FiguresRow(**_row(model="=1+1"))])


def test_an_empty_sweep_has_no_figures(tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    with pytest.raises(UsageError, match="no good point"):
        figures(tmp_path)
