"""What surrounds a sweep, from the command line."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from workbench.cli.main import cli

HERE = Path(__file__).parent


@pytest.mark.slow
def test_a_point_is_measured_shown_reported_and_turned_into_a_task(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text("""
name = "one"
[[engine]]
name = "fake"
[[workload]]
name = "w"
requests = 4
prompt_tok = { kind = "fixed", tok = 8 }
output_tok = { kind = "fixed", tok = 4 }
[load]
concurrency = [2]
""")

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    run("sweep", "run", "one.toml", "--usd-per-hour", "1")
    shown = json.loads(run("sweep", "show", "runs/sweep-one/fake", "--json"))
    assert shown["status"] == "ok"
    assert "concurrency = 2" in shown["bench_toml"]
    assert "[engine]" in run("sweep", "show", "runs/sweep-one/fake")  # without markup's escapes
    found = json.loads(run("sweep", "report", "runs/sweep-one", "--json"))
    assert (found["ok"], len(found["pareto"])) == (1, 1)
    assert "<svg" in (tmp_path / "runs/sweep-one/report/curves-w.svg").read_text()
    assert (tmp_path / "runs/sweep-one/report/report.html").exists()
    run("sweep", "skypilot", "one.toml", "--cloud", "vast")
    assert yaml.safe_load((tmp_path / "one.sky.yaml").read_text())["resources"]["infra"] == "vast"
    shutil.make_archive("packed", "gztar", "runs", "sweep-one")
    run("runs", "import", "packed.tar.gz")
    again = json.loads(run("sweep", "report", "runs/packed/sweep-one", "--json"))
    assert again["pareto"] == found["pareto"]
