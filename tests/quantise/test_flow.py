"""The whole way: make, reload in a real engine, compare, write down; interrupted, wrong, and as the page shows it."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from workbench.errors import Failure, UsageError
from workbench.flows.quantise import Order, finite, quantise_model, wrong
from workbench.flows.quantise_environments import ready
from workbench.models import find, provenance, quantise
from workbench.models.quantise.method import Method
from workbench.models.quantised import open_quantised
from workbench.models.shipped import shipped_folder

PAGE = Path(__file__).parents[2] / "docs/quality/methods.md"


class Interrupted(Exception):
    """Stands for Ctrl-C at a stage."""


def order(tmp_path: Path, method: Method, **more: object) -> Order:
    name = f"a.{'gguf' if method.form == 'gguf' else 'folder'}"
    return Order("tiny", method, tmp_path / name, **more)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_coarse_format_is_kept_when_its_reload_is_what_was_made(tmp_path: Path) -> None:
    """TQ2_0 ruins this model; the engine reads exactly that ruin."""
    asked, stages = order(tmp_path, quantise.find("TQ2_0")), []  # type: tuple[Order, list[str]]
    told = quantise_model(asked, stages.append)
    (row,) = [row for row in told.reloads if row["engine"] == "llama.cpp"]
    assert row["good"]
    assert row["perplexity"] > 50 * told.source["original"]
    assert row["perplexity"] == pytest.approx(told.source["expected"], rel=0.05)
    assert (told.method, told.params, told.bytes) == ("TQ2_0", 2_033_408, asked.out.stat().st_size)
    assert told.source["licence"] == "apache-2.0"
    assert find(str(asked.out)).weights_id == told.weights_id == find("tiny", "TQ2_0").weights_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf", "a.gguf.provenance.json"]
    assert stages[:2] == ["making", "reloading in llama.cpp"]


@pytest.mark.slow
def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    asked, stages = order(tmp_path, quantise.find("Q8_0")), []  # type: tuple[Order, list[str]]

    def stop(stage: str) -> None:
        if stage.startswith("reloading"):
            raise Interrupted

    with pytest.raises(Interrupted):
        quantise_model(asked, stop)
    assert not asked.out.exists()
    quantise_model(asked, stages.append)
    assert "making" not in stages
    assert asked.out.is_file()


@pytest.mark.slow
def test_a_wrong_reload_is_not_kept_unless_told(tmp_path: Path) -> None:
    """Between making and reloading the file is swapped: a loader that reads it as something else."""
    method, wrong = quantise.find("Q8_0"), find("tiny", "TQ2_0").path

    def swap(stage: str) -> None:
        if stage == "reloading in llama.cpp":
            shutil.copyfile(wrong, tmp_path / ".a.gguf.work" / "made.gguf")

    with pytest.raises(Failure, match=r"a\.gguf: not kept: llama\.cpp reads it as another model: perplexity"):
        quantise_model(order(tmp_path, method), swap)
    assert not (tmp_path / "a.gguf").exists()
    shutil.rmtree(tmp_path / ".a.gguf.work")
    told = quantise_model(order(tmp_path, method, keep=True), swap)
    assert "times" in told.kept_despite
    assert provenance.check(tmp_path / "a.gguf") == told


@pytest.mark.slow
def test_a_method_in_its_own_environment(tmp_path: Path) -> None:
    method = quantise.find("bnb-int8")
    if not ready(method.environment):
        pytest.skip("the environment bitsandbytes is not here: workbench quantise tiny --to bnb-int8 --install")
    told = quantise_model(order(tmp_path, method))
    (row,) = told.reloads
    assert row["good"]
    assert set(told.library) == {"bitsandbytes", "transformers", "torch"}
    found = open_quantised(tmp_path / "a.folder")
    assert (found.quant, found.weights_id, found.params) == ("bnb-int8", told.weights_id, 2_033_408)


@pytest.mark.slow
def test_the_page_runs_as_it_is_shown(tmp_path: Path) -> None:
    block = PAGE.read_text(encoding="utf-8").split("```bash\n", 1)[1].split("```", 1)[0]
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(PAGE.parents[2])})
        assert done.returncode == 0, (line, done.stderr)


@pytest.mark.parametrize(("rows", "said"), [
    ([{"engine": "a", "perplexity": 2.0, "good": True}, {"engine": "b", "refused": "no"}], ""),
    ([{"engine": "a", "refused": "no"}, {"engine": "b", "untried": "x"}], "a refuses it: no"),
    ([{"engine": "b", "untried": "x"}], ""),
    ([{"engine": "a", "perplexity": 9.0, "good": False, "words": "9"}, {"engine": "b", "perplexity": 2.0}],
     "a reads it as another model: 9"),
])
def test_what_speaks_against_keeping_it(rows: list[dict[str, object]], said: str) -> None:
    assert wrong(rows) == said


def test_a_model_that_answers_nothing_is_found_before_it_is_saved() -> None:
    assert finite("m", "expected", 0.0) == 1.0
    for nats in (float("nan"), float("inf")):
        with pytest.raises(Failure, match="m: what it made gives no probabilities already in the quantiser's memory"):
            finite("m", "expected", nats)


def test_nan_in_the_weights_is_found_before_anything_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(shipped_folder(), folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(Failure, match=r"tensor 'model\.norm\.weight' holds NaN or infinity; fetch or train"):
        quantise_model(Order(str(folder), quantise.find("Q8_0"), tmp_path / "a.gguf"))
    assert not (tmp_path / "a.gguf").exists()


def test_a_model_without_a_tokenizer_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(shipped_folder(), folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"has no tokenizer\.json"):
        quantise_model(Order(str(folder), quantise.find("Q8_0"), tmp_path / "a.gguf"))


def test_rows_longer_than_the_context_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--calibration-tokens: 5000: the model's context is 4096"):
        _ = Order("tiny", quantise.find("gptq"), tmp_path / "a", row_tok=5000).calibration_rows
