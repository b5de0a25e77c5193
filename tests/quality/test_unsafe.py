"""`--unsafe`: code is run without a sandbox where none can be had, only when told so, loudly, and kept apart."""

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from answering import answering

from engines import own
from workbench.cli.main import main
from workbench.config import parse
from workbench.errors import UsageError
from workbench.flows import quality_show
from workbench.flows.quality import Suite, said_of_unsafe
from workbench.flows.quality_harness import harness
from workbench.flows.quality_spec import SuiteSpec
from workbench.quality.sandbox import Found, examine

NONE = (Found("bubblewrap", "bubblewrap is not installed"), Found("own uid", "no Landlock"))


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Path]:
    """A suite of two programs for an endpoint that writes the first one right."""
    lines = [{"task_id": f"t/{number}", "prompt": f"def f{number}():\n", "entry_point": f"f{number}",
              "canonical_solution": "    return 1\n", "test": "def check(candidate):\n    assert candidate() == 1\n"}
             for number in range(2)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"data": [{"id": "m"}]}
        return (200, {"choices": [{"text": f"    return {1 if 'f0' in body['prompt'] else 2}\n"}], "usage": {}}
                if path == "/v1/completions" else {})

    with answering(answer) as url:
        (tmp_path / "suite.toml").write_text(
            f'name = "t"\n[[task]]\nname = "mine"\nfile = "mine.jsonl"\nform = "code"\n'
            f'[[engine]]\nname = "openai"\noptions = [{{ url = "{url}" }}]\n')
        yield tmp_path / "suite.toml"


def suite(asked: Path, notes: list[str], **more: Any) -> Suite:
    spec = parse(SuiteSpec, asked.read_text(), "suite.toml")
    return Suite(spec, asked.parent / "out", asked.parent, note=notes.append, **more)


def test_without_a_sandbox_code_runs_only_when_told_so_and_the_rows_say_it(asked: Path) -> None:
    refused = suite(asked, [], looks=lambda: NONE).run()
    assert "generated code is not run: no sandbox can be had here" in refused["failed"][0]["why"]
    assert refused["cells"] == []
    notes: list[str] = []
    (cell,) = suite(asked, notes, looks=lambda: NONE, unsafe=True).run()["cells"]
    assert (cell["sandbox"], cell["tasks"]["mine"]["score"]["mean"]) == ("unsafe", 0.5)
    assert any(line.startswith("WARNING: --unsafe, and no sandbox can be had here") for line in notes)
    (log,) = quality_show.cells(asked.parent / "out").values()
    assert (log.provenance.workload["sandbox"], log.provenance.workload["unsafe"]) == ("unsafe", True)
    assert [row.verdict for row in log.rows] == ["passed", "failed"]


def test_rows_made_without_a_sandbox_do_not_go_on_with_one(asked: Path) -> None:
    suite(asked, [], looks=lambda: NONE, unsafe=True, limit=1).run()
    with pytest.raises(UsageError, match=r"made with another sandbox \(none, by --unsafe\)"):
        suite(asked, [], looks=lambda: [replace(NONE[0], lack="")]).run()


def test_where_a_sandbox_holds_the_flag_changes_nothing_and_says_so(
    asked: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    held = next((found.backend for found in examine() if not found.lack), None)
    if held is None:
        pytest.skip("no sandbox can be had here: workbench doctor")
    main(["quality", "run", str(asked), "--out", str(asked.parent / "out"), "--unsafe", "--json"])
    told = capsys.readouterr()
    assert json.loads(told.out)["cells"][0]["sandbox"] == held
    assert said_of_unsafe(held) in told.err


@pytest.mark.slow
@pytest.mark.skipif(own.installed("lm-eval") is None and find_spec("lm_eval") is None, reason="lm-eval is not here")
def test_lm_evals_own_code_tasks_are_told_too() -> None:
    assert harness(None, hub=False, unsafe=True).env["WORKBENCH_UNSAFE"] == "1"
    assert "WORKBENCH_UNSAFE" not in harness(None, hub=False).env
