"""Many runs: grids, lanes in which one fails, reports found again, compared and passed on."""

import json
from pathlib import Path

import pytest

from workbench.cli.main import main
from workbench.errors import UsageError
from workbench.files import write_json
from workbench.report import arguments, beside, kept, lanes, library, runner

QUICK = {"quick": True}


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text('window = [1, 8]\norders = ["fifo", "vtc"]\nquick = true\n')
    assert arguments.grid(path) == [
        {"window": w, "orders": o, "quick": True} for w in (1, 8) for o in ("fifo", "vtc")]
    for text, message in (("", "parameter = "), ("[a]\nb = 1", "no tables"), ("a = []", "0 combinations"),
                          ("a = [1", "not valid TOML")):
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            arguments.grid(path)


def test_a_notebook_is_known_by_its_chapter() -> None:
    assert library.source("ch12").stem == library.source("ch12_scheduling").stem == "ch12_scheduling"
    assert library.source("ch05").stem == "ch05_control_plane"
    assert library.source("ch05_5").stem == "ch05_5_browser"
    with pytest.raises(UsageError, match="no notebook called 'ch'"):
        library.source("ch")


def test_chapters_come_in_the_order_of_the_book() -> None:
    def about(name: str, chapter: str) -> library.About:
        return library.About(name, chapter)

    chapters = {"x": "", "a": "A", "c10": "10", "c2": "2", "c5b": "5.5", "c5": "5"}
    found = [about(name, chapter) for name, chapter in chapters.items()]
    assert [item.name for item in sorted(found, key=lambda item: item.order)] == ["c2", "c5", "c5b", "c10", "a", "x"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good runs of one notebook and a bad one."""
    folder = tmp_path_factory.mktemp("many")
    jobs = [lanes.Job("ch07", QUICK), lanes.Job("ch07", {"amount": 0}), lanes.Job("ch07", QUICK | {"seed": 8})]
    told: list[tuple[lanes.Ended, lanes.Progress]] = []
    ended = lanes.fast(jobs, folder, lambda *item: told.append(item))
    assert [item.error is None for item in ended] == [True, False, True], "the others go on"
    assert "amount: 0: must be 1 to 100000" in str(ended[1].error)
    assert [progress.done for _, progress in told] == [1, 2, 3]
    assert told[-1][1].left_s == 0
    return folder


def test_a_failed_one_is_kept_and_listed(out: Path) -> None:
    folders = sorted(path.name for path in (out / "ch07_rate_limits").iterdir())
    assert sum(name.endswith("-failed") for name in folders) == 1
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "must be 1 to 100000" in page
    assert page.count("<li>") == 3
    assert 'type="search"' in page


def test_a_value_that_the_notebook_refuses_is_the_callers_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^notebook 'ch07_rate_limits': amount: 0: must be 1 to 100000; kept in "):
        runner.run("ch07", QUICK | {"amount": 0}, inputs=None, out=tmp_path, fast=True)


def test_reports_are_found_again(out: Path) -> None:
    newest = kept.find("ch07", out)
    assert newest == kept.find(str(newest), out) == kept.find(newest.name, out)
    assert not newest.name.endswith("-failed")
    with pytest.raises(UsageError, match="no finished run"):
        kept.find("ch13", out)


def test_a_run_of_chapter_five_is_not_one_of_five_and_a_half(tmp_path: Path) -> None:
    for number, name in enumerate(("ch05_control_plane", "ch05_5_browser")):
        about = {"kind": "workbench.report", "name": name, "run_id": f"r{number}", "status": "ok", "title": name,
                 "started_at_utc": f"2026-01-01T00:00:0{number}Z"}
        write_json(tmp_path / name / f"r{number}" / "provenance.json", about)
    assert kept.find("ch05", tmp_path).name == "r0"
    assert kept.find("ch05_5", tmp_path).name == "r1"


def good(out: Path) -> list[Path]:
    return sorted(path for path in (out / "ch07_rate_limits").iterdir() if not path.name.endswith("-failed"))


def test_two_runs_are_compared(out: Path, tmp_path: Path) -> None:
    a, b = sorted(good(out), key=lambda run: json.loads((run / "params.json").read_text())["seed"])
    rows = {row["name"]: row for row in kept.difference(a, b)}
    assert (rows["seed"]["a"], rows["seed"]["b"]) == (7, 8)
    assert "quick" not in rows, "equal parameters are left out"
    number = rows["worst_window_of_limit_fixed_window"]
    assert number["change_frac"] == pytest.approx(number["b"] / number["a"] - 1)
    assert all(row["change_frac"] in (0.0, None) for row in kept.difference(a, a))
    page = beside.write(a, b, tmp_path / "both.html").read_text(encoding="utf-8")
    assert page.count('<div class="pair">') == 2
    assert 'id="figure-Aadmitted"' in page
    assert 'id="figure-Badmitted"' in page


def test_intervals_apart() -> None:
    def ends(low: float | None, high: float | None) -> dict[str, float | None]:
        return {"low": low, "high": high}

    assert kept._apart(ends(1, 2), ends(3, 4)) is True
    assert kept._apart(ends(1, 3), ends(3, 4)) is False, "they touch"
    assert kept._apart(ends(1, 2), ends(None, None)) is None
    assert kept._apart(None, ends(1, 2)) is None


def test_the_commands(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", "show", "ch07", "--out", str(out), "--json"])
    assert json.loads(capsys.readouterr().out)["results"]
    a, b = (str(path) for path in good(out))
    main(["report", "diff", a, b, "--page", str(tmp_path / "p.html"), "--json"])
    assert json.loads(capsys.readouterr().out)["rows"]
    main(["report", "export", "ch07", str(tmp_path / "one.html"), "--single-file", "--out", str(out)])
    assert (tmp_path / "one.html").read_text() == (kept.find("ch07", out) / "report.html").read_text()
    with pytest.raises(SystemExit) as caught:
        main(["report", "export", "ch07", str(tmp_path / "one.html"), "--out", str(out)])
    assert caught.value.code == 2
    main(["chapters", "--mode", "technique", "--json"])
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["chapters"]
    assert "ch07_rate_limits" in [item["name"] for item in listed]


@pytest.mark.slow
def test_the_fast_lane_gives_what_a_kernel_gives(out: Path, tmp_path: Path) -> None:
    slow = runner.run("ch07", QUICK, inputs=None, out=tmp_path)
    same = [run for run in good(out) if json.loads((run / "params.json").read_text())["seed"] == 7]
    assert kept.numbers(same[0]) == slow.results
