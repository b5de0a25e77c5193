"""lm-eval and our own reading of the tiny world agree item by item; its other tasks run offline from files."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from engines import own
from workbench.config import parse
from workbench.errors import UsageError
from workbench.flows import quality_show
from workbench.flows.quality import Suite
from workbench.flows.quality_spec import SuiteSpec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(own.installed("lm-eval") is None and importlib.util.find_spec("lm_eval") is None,
                       reason="lm-eval's environment is 0.7 GB: workbench quality install"),
]
ENGINE = '[[engine]]\nname = "llama.cpp"\nmodel = ["tiny"]\nquant = ["TQ2_0"]\n'  # many wrong answers to agree on
PAIRED = ("cloze", "four_choice", "code", "text")


def suite(text: str, out: Path) -> Suite:
    return Suite(parse(SuiteSpec, text, "suite.toml"), out, out.parent, config_text=text)


def test_both_agree_item_by_item_on_the_tiny_world(tmp_path: Path) -> None:
    names = [*(f"tiny_{name}" for name in PAIRED), *(f"lm_eval_tiny_{name}" for name in PAIRED)]
    found = suite(f'name = "t"\nlimit = 60\ntasks = {json.dumps(names)}\n{ENGINE}', tmp_path / "out").run()
    assert found["failed"] == []
    ((folder, log),) = quality_show.cells(tmp_path / "out").items()
    totals = json.loads((tmp_path / "out" / folder / "lm_eval.json").read_text())
    for name in PAIRED:
        ours = [row for row in log.rows if row.task == f"tiny_{name}"]
        theirs = {row.item: row for row in log.rows if row.task == f"lm_eval_tiny_{name}"}
        assert len(ours) == len(theirs) == 60
        for row in ours:
            other = theirs[row.item]
            assert (row.correct, row.score, row.output, row.prompt_tok) == (
                other.correct, other.score, other.output, other.prompt_tok)
            if row.loglik is not None:
                assert other.loglik == pytest.approx(row.loglik, abs=1e-4)
        if name != "text":
            (task,) = totals[f"lm_eval_tiny_{name}"]["results"].values()
            quoted = next(value for key, value in task.items() if key.split(",")[0] in ("acc", "pass_at_1"))
            assert quoted == pytest.approx(sum(row.score or 0 for row in ours) / 60)
    wrong = [row for row in log.rows if row.correct is False]
    assert 60 < len(wrong) < 360


def test_mmlu_and_humaneval_run_offline_from_files(tmp_path: Path, public_data: Path) -> None:
    folder = public_data / "quality"
    text = f"""
name = "t"
limit = 3
[[task]]
name = "mmlu"
lm_eval = "mmlu_5shot"
data = {{ test = "{folder / 'mmlu_test_200.jsonl'}", dev = "{folder / 'mmlu_dev.jsonl'}" }}
[[task]]
name = "humaneval"
lm_eval = "humaneval_sandboxed"
max_tok = 8
data = {{ test = "{folder / 'HumanEval.jsonl.gz'}" }}
{ENGINE}"""
    found = suite(text, tmp_path / "out").run()
    assert found["failed"] == []
    log = next(iter(quality_show.cells(tmp_path / "out").values()))
    mmlu = [row for row in log.rows if row.task == "mmlu"]
    first = json.loads((folder / "mmlu_test_200.jsonl").read_text().splitlines()[0])
    assert (mmlu[0].subject, mmlu[0].expected) == (first["subject"], "ABCD"[first["answer"]])
    assert all(row.answer in "ABCD" and row.correct is not None for row in mmlu if row.answer)
    assert mmlu[0].prompt_tok is not None
    assert mmlu[0].prompt_tok > 200  # five worked examples
    assert {row.correct for row in log.rows if row.task == "humaneval"} == {False}
    (config,) = log.tasks["mmlu"]["configs"]
    assert config["num_fewshot"] == 5
    assert str(folder) not in json.dumps(log.tasks)


def test_an_unknown_task_of_lm_eval_has_a_suggestion(tmp_path: Path) -> None:
    text = f'name = "t"\n[[task]]\nname = "x"\nlm_eval = "mmlu_5shots"\n{ENGINE}'
    with pytest.raises(UsageError, match="lm-eval has no task 'mmlu_5shots'; did you mean 'mmlu_5shot'"):
        suite(text, tmp_path / "out").plan()


def test_the_child_gets_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.flows.quality_harness import harness

    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    found = harness(None, hub=False)
    assert "canary" not in json.dumps(dict(found.env))
    assert found.env["HF_HUB_OFFLINE"] == "1"
    assert os.fspath(found.python)


def test_a_failed_item_goes_through_lm_eval_unjudged() -> None:
    from workbench.flows.quality_harness import harness
    from workbench.quality.asking import Likelihoods
    from workbench.quality.judge import failed, judged, row_of
    from workbench.quality.task_spec import find_task

    specs = [find_task("lm_eval_tiny_cloze").model_copy(update={"limit": 3})]
    found = harness(None, hub=False)
    items, _ = found.items(specs)
    sure = [tuple(0.0 if place == item.right else -9.0 for place in range(len(item.options))) for item in items]
    rows = [judged(row_of(item, 0, None, Likelihoods(loglik, (False,) * len(loglik), 1, 1, False), 1), item, None)
            for item, loglik in zip(items, sure, strict=True)]
    rows[1] = failed(items[1], 0, None, "HTTP 500", 1)
    scored, totals = found.score(specs, items, rows)
    assert [(row.outcome, row.correct) for row in scored] == [("ok", True), ("failed", None), ("ok", True)]
    assert totals["lm_eval_tiny_cloze"]["failed"] == 1


def test_lm_eval_judges_a_chat_without_its_reasoning() -> None:
    from workbench.flows.quality_harness import harness
    from workbench.models.shipped import shipped_folder
    from workbench.quality import chat
    from workbench.quality.asking import Generated
    from workbench.quality.judge import row_of
    from workbench.quality.task_spec import find_task

    spec = find_task("lm_eval_tiny_code").model_copy(update={"limit": 1, "chat": True})
    found = harness(chat.beside(shipped_folder()), hub=False)
    (item,), _ = found.items([spec])
    right = json.loads(Path(spec.data["test"]).read_text().partition("\n")[0])["canonical_solution"]
    row = row_of(item, 0, None, Generated(f"<think>a plus b</think>{right}", 1, 1, False), 1)
    (scored,), _ = found.score([spec], [item], [row])
    assert scored.correct
    assert scored.output is not None
    assert scored.output.startswith("<think>"), "what was written is kept"
