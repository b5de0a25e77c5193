"""Quality joined with speed: by weights and KV type, mismatches said, nothing ranked that items cannot tell apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import UsageError
from workbench.figures.chart import Chart
from workbench.flows.quality_distance import Row as DistanceRow
from workbench.flows.quality_distance import Table
from workbench.flows.quality_join import joined, row_of
from workbench.flows.quality_plan import asked_for
from workbench.flows.quality_report import report
from workbench.flows.quality_report_charts import AXES
from workbench.flows.quality_show import cells, one_of
from workbench.flows.quality_speed import Speed, speeds
from workbench.flows.sweeps.store import Store
from workbench.quality.distance.measure import Distance
from workbench.quality.rows import Row
from workbench.quality.store import QualityLog
from workbench.quality.store import write as write_log
from workbench.quality.table import read as read_table
from workbench.quality.table import write as write_table
from workbench.runlog.provenance import collect
from workbench.stats.intervals import Interval

FACTS = {"version": {"asked": None, "seen": "1.0", "seen_via": "package"}}


def cell(folder: Path, quant: str, right: np.ndarray, engine: str = "llama.cpp", tp: int = 1, model: str = "tiny",
         weights_id: str = "") -> Path:
    facts = FACTS | {"tp": {"asked": tp, "seen": tp, "seen_via": "log"}}
    about = collect("real", engine=engine, engine_facts=facts, model=model, quant=quant, kv_type="f16",
                    weights_id=weights_id or f"id of {quant}")
    rows = tuple(Row("task", f"i{i}", outcome="ok", correct=bool(value), score=float(value), answer=str(value))
                 for i, value in enumerate(right))
    (folder / f"{engine}-{quant}-{tp}").mkdir(parents=True)
    write_log(QualityLog(about, rows), folder / f"{engine}-{quant}-{tp}" / "rows.parquet")
    return folder


def speed(quant: str, runs: tuple[float, ...], **other: str) -> Speed:
    given = {"engine": "llama.cpp", "version": "1.0", "model": "tiny-27m", "kv_type": "f16",
             "weights_id": f"id of {quant}", "load": "1 in flight"} | other
    return Speed(given["engine"], given["version"], given["model"], quant, given["kv_type"], given["weights_id"],
                 given["load"], runs, given.get("gpus", ""))


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    right = np.ones(200)
    near, bad = right.copy(), right.copy()
    near[:3], bad[:40] = 0, 0
    for quant, values in (("F16", right), ("Q4_0", near), ("Q2_K", bad)):
        cell(tmp_path, quant, values)
    return tmp_path


def test_a_sentence_says_what_was_shown_and_no_more(answers: Path) -> None:
    found, rows = report([answers], [], [])
    assert rows[0].label == "F16"
    said = {text.partition(":")[0]: text for text in found.data["sentences"]}
    assert "not distinguishable from F16 (200 items in 1 tasks" in said["Q4_0"]
    assert "task 20.0 ± " in said["Q2_K"]
    assert "points lower than F16" in said["Q2_K"]
    by = {row.label: row for row in rows}
    assert (by["Q4_0"].values["flips"], by["Q4_0"].values["flips_n"]) == (3, 200)
    assert by["Q2_K"].tasks["task"].retained == pytest.approx(0.8)
    assert by["F16"].tasks["task"].retained_low == 1


def test_rows_of_several_models_or_weights_are_told_apart(tmp_path: Path) -> None:
    for i, (model, weights_id) in enumerate((("small", "aaaaaaaaa"), ("small", "bbbbbbbbb"), ("large", "c"))):
        cell(tmp_path / str(i), "F16", np.array([1, 1, i > 0, 1]), model=model, weights_id=weights_id)
    found, rows = report([tmp_path / str(i) for i in range(3)], [], [], base="large F16")
    assert [row.label for row in rows] == ["large F16", "small F16 aaaaaaaa", "small F16 bbbbbbbb"]
    assert [row.values["flips"] for row in rows] == [0, 1, 0]
    assert len(found.data["sentences"]) == 2


def test_what_failed_or_was_cut_is_said(answers: Path) -> None:
    log = one_of(cells(answers), "Q4_0")
    failed = replace(log.rows[0], outcome="failed", error="HTTP 500", answer=None, correct=None, score=None)
    rows = (failed, replace(log.rows[1], truncated=True), *log.rows[2:])
    write_log(replace(log, rows=rows), answers / "llama.cpp-Q4_0-1" / "rows.parquet")
    found, table = report([answers], [], [])
    assert "Q4_0: 1 of 200 answers failed; they count in no score." in found.lines
    assert "Q4_0: 1 of 200 prompts did not fit and lost their beginning." in found.lines
    assert {row.label: row.tasks["task"].share.n for row in table}["Q4_0"] == 199


def test_speed_joins_on_weights_and_what_does_not_match_is_said(answers: Path) -> None:
    known = [speed("F16", (100.0, 102.0, 98.0)), speed("Q4_0", (200.0, 204.0), version="2.0"),
             speed("Q2_K", (300.0, 303.0), weights_id="another mix"), speed("Q4_0", (1.0,), engine="vllm-cpu"),
             speed("Q4_0", (9.0, 9.0), kv_type="q8_0")]
    found = {one.quant: one for one in joined([answers], [], known)}
    assert found["F16"].beware == ()
    assert found["F16"].speed is known[0], "a grown model counts as the one it grew from"
    assert found["Q4_0"].speed is known[1]
    assert found["Q4_0"].beware == ("speed is of llama.cpp 2.0, quality of 1.0",)
    assert found["Q2_K"].beware == ("speed is of tiny-27m, whose Q2_K mixes other types of tensors",)
    other = joined([answers], [], [speed("Q4_0", (1.0,), weights_id="others"),
                                   speed("Q2_K", (1.0,), weights_id="others", model="tiny-7b")])
    assert all(one.speed is None for one in other), "only a mix, and only of what grew from it, joins by name"
    other = joined([answers], [], [speed("F16", (1.0,), engine="vllm-cpu")])
    assert all(one.speed is None for one in other), "another engine's speed says nothing of this one's"


def test_models_of_an_endpoint_are_told_apart_by_name(tmp_path: Path) -> None:
    for name in ("small", "large"):
        about = collect("real", engine="openai", model=name)
        write_log(QualityLog(about, (Row("task", "1", outcome="ok", score=1.0),)), tmp_path / name / "rows.parquet")
    known = speed("", (1.0, 2.0), weights_id="", engine="openai", version="", model="small", kv_type="auto")
    assert {one.model: one.speed for one in joined([tmp_path], [], [known])} == {"small": known, "large": None}


def test_tensor_parallel_is_a_row_of_its_own_with_its_own_speed(answers: Path, tmp_path: Path) -> None:
    turned = np.ones(200)
    turned[:2] = 0
    cell(answers, "F16", turned, tp=2)
    known = [speed("F16", (100.0, 102.0)), speed("F16", (150.0, 153.0), gpus="2")]
    by = {one.label: one for one in joined([answers], [], known)}
    assert (by["F16"].speed, by["F16 tp 2"].speed) == (known[0], known[1])
    assert joined([answers], [], known[:1])[-1].speed is None, "two do not run at the speed of one"
    _, rows = report([answers], [], [])
    write_table(rows, tmp_path / "t.csv")
    kept = {row.label: row for row in read_table(tmp_path / "t.csv")}
    assert (kept["F16 tp 2"].words["gpus"], kept["F16 tp 2"].values["flips"]) == ("2", 2)
    assert one_of(cells(answers), "F16 tp2").provenance.engine_facts["tp"]["asked"] == 2


def far(folder: Path, quant: str, gpus: int = 1) -> Path:
    one = Interval(1.0, 1.0, 1.0, 9)
    found = Distance(9, 2, one, 1.0, Interval(0.0, 0.0, 0.0, 9), Interval(0.0, 0.0, 0.0, 9), 0.0, None, "exact", one)
    row = DistanceRow("tiny", quant, "llama.cpp", "1.0", "f16", "library", f"id of {quant}", "", 1024, 16.0, found,
                      gpus)
    return Table((row,), "t.jsonl", "0", collect("real")).write(folder)


def test_the_same_weights_on_the_same_engine_are_as_large(answers: Path, tmp_path: Path) -> None:
    cell(answers, "F16", np.ones(200), tp=2)
    _, rows = report([answers], [far(tmp_path, "F16")], [])
    by = {row.label: row for row in rows}
    assert [by[name].values.get("bytes") for name in ("F16", "F16 tp 2", "Q4_0")] == [1024, 1024, None]
    assert "kl_mean" not in by["F16 tp 2"].figures, "how far it is, nobody measured"
    spread = far(tmp_path / "tp2", "F16", 2)
    assert json.loads(spread.read_text())["rows"][0]["gpus"] == 2
    measured = {row.label: row for row in report([answers], [far(tmp_path, "F16"), spread], [])[1]}
    assert "kl_mean" in measured["F16 tp 2"].figures
    assert measured.keys() == by.keys()


def test_money_has_the_interval_of_the_speed_turned_round(answers: Path) -> None:
    known = [speed("F16", (100.0, 110.0, 90.0)), speed("Q4_0", (200.0, 204.0, 196.0)), speed("Q2_K", (1.0, 99.0))]
    by = {one.quant: row_of(one, one, 0.36) for one in joined([answers], [], known)}
    axis = next(axis for axis in AXES if axis.name == "money")
    for one in known[:2]:
        place = axis.place(by[one.quant])
        assert place is not None
        assert (place.mean, place.low, place.high) == pytest.approx(
            tuple(100 / value for value in (one.tok_per_s.mean, one.tok_per_s.high, one.tok_per_s.low)))
    unsure = axis.place(by["Q2_K"])
    assert unsure is not None
    assert unsure.low == unsure.high, "a speed whose interval reaches 0 gives money no upper end"


def test_how_much_faster_has_an_interval(answers: Path) -> None:
    found = speed("Q4_0", (200.0, 204.0, 196.0)).times(speed("F16", (100.0, 102.0, 98.0)))
    assert found is not None
    assert found.low < 2 < found.high
    assert found.mean == pytest.approx(2, rel=0.01)
    assert speed("Q4_0", (2.0,)).times(speed("F16", (1.0, 1.0))) is None
    assert speed("F16", (100.0,)).usd_per_million_tok(0.36) == pytest.approx(1.0)
    assert speed("F16", (100.0,)).tok_per_s.n == 1


def test_charts_show_intervals_and_the_page_is_made(answers: Path, tmp_path: Path) -> None:
    from workbench.report.rendered import write

    found, rows = report([answers], [], [], usd_per_hour=0.1)
    page = write(found, tmp_path / "out", tmp_path / "gallery")
    assert "Q2_K" in page.read_text()
    assert (tmp_path / "gallery" / "README.md").is_file()
    assert all(chart.panels[0].series[0].low for chart in found.shown if isinstance(chart, Chart))
    write_table(rows, tmp_path / "t.csv")
    least, quality = asked_for("task=0.95", tmp_path / "t.csv")
    assert (least, quality is not None) == (0.95, True)


def test_what_ran_beside_timed_runs_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path / "sweep")

    def point(number: int, others_frac: float | None) -> None:
        mark = {"engine": "llama.cpp", "engine_version": "1.0", "model": "tiny-27m", "quant": "F16", "gpus": 0,
                "weights_id": "id of F16"}
        row = {"status": "ok", "fingerprint": mark, "kv_type": "f16",
               "metrics": {"output_tok_per_s": 100.0 + number}, "guards": {"others_frac": others_frac},
               "asked": {"rate_per_s": None, "concurrency": 1}}
        store.begin(f"p{number}")
        store.commit(f"p{number}", row)

    cell(tmp_path / "answers", "F16", np.ones(20))
    for number, others in enumerate((0.5, 0.1, None, 0.75)):
        point(number, others)
    (one,) = speeds([tmp_path / "sweep"])
    assert (len(one.runs), one.beside_frac) == (4, (0.5, 0.75))
    page, _ = report([tmp_path / "answers"], [], [tmp_path / "sweep"])
    assert any(line.startswith("Beside 2 of 4 timed runs other programs kept 50% to 75% ") for line in page.lines)


def test_bad_questions(answers: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--base 'Q8_0': no such row; there are F16"):
        report([answers], [], [], base="Q8_0")
    with pytest.raises(UsageError, match="--load '4 in flight': not measured; there are no speeds"):
        report([answers], [], [], load="4 in flight")
    with pytest.raises(UsageError, match="nothing to report"):
        report([], [], [])
    with pytest.raises(UsageError, match="no such run log or sweep folder"):
        report([answers], [], [tmp_path / "none.parquet"])
    assert asked_for("0.8", None) == (0.8, None)
    with pytest.raises(UsageError, match=r"give a number, or TASK=0.95"):
        asked_for("task=much", None)
