"""safetensors to GGUF and back is the same model, to the bit, tokenizer included."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.errors import UsageError, WorkbenchError
from workbench.files import read_json
from workbench.flows.convert import convert_model, wanted
from workbench.models import formats
from workbench.models.convert import convert
from workbench.models.convert_back import to_folder
from workbench.models.folder import ModelFolder, open_folder
from workbench.models.gguf_tensors import GgufTensors, rotary_halves
from workbench.models.shipped import find, shipped_folder


def with_weights(folder: Path, kind: Any, seed: int) -> ModelFolder:
    """The shipped architecture with drawn weights of a type, tiny and huge ones among them."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(shipped_folder() / name, folder / name)
    rng = np.random.default_rng(seed)
    original = open_folder(shipped_folder())
    scale = 1.0 if kind is np.float16 else 1e30
    save_file({name: (rng.standard_normal(shape) * rng.choice([1e-6, 1e-2, scale])).astype(kind)
               for name, shape in original.tensors.shapes.items()}, folder / "model.safetensors")
    return open_folder(folder)


@pytest.mark.parametrize(("kind", "quant"), [(np.float16, "F16"), (np.float16, "F32"), (np.float32, "F32")])
def test_there_and_back_is_equal_to_the_bit(kind: Any, quant: str, tmp_path: Path) -> None:
    source = with_weights(tmp_path / "a", kind, seed=3)
    convert(source, quant, tmp_path / "a.gguf")
    done = to_folder(tmp_path / "a.gguf", tmp_path / "b")
    again = open_folder(tmp_path / "b")
    assert done.exact
    assert again.arch == source.arch
    assert again.tensors.forms == source.tensors.forms  # type: ignore[attr-defined]
    for name in source.tensors.shapes:
        assert np.array_equal(again.tensors.array(name), source.tensors.array(name)), name
    assert read_json(tmp_path / "b/tokenizer.json") == read_json(shipped_folder() / "tokenizer.json")


def test_what_f16_cannot_hold_is_said(tmp_path: Path) -> None:
    convert(with_weights(tmp_path / "a", np.float32, seed=1), "F32", tmp_path / "a.gguf")
    with pytest.raises(UsageError, match="beyond F16's range; use BF16 or F32"):
        to_folder(tmp_path / "a.gguf", tmp_path / "b", "F16")
    assert not to_folder(find("tiny", "Q8_0").path, tmp_path / "c", "F16").exact
    with pytest.raises(UsageError, match="there are F32, F16"):
        to_folder(tmp_path / "a.gguf", tmp_path / "d", "Q4_0")


def test_rotary_rows_come_back() -> None:
    from workbench.models.convert import rotary_rows

    weight = np.arange(64 * 3, dtype=np.float32).reshape(64, 3)
    assert np.array_equal(rotary_halves(rotary_rows(weight, 4), 4), weight)


def test_a_quantised_file_stands_for_its_round_trip() -> None:
    tensors, source = GgufTensors(find("tiny", "Q4_0").path), open_folder(shipped_folder())
    name = "model.layers.1.mlp.up_proj.weight"
    assert np.array_equal(tensors.array(name), formats.round_trip(source.tensors.array(name), "Q4_0"))
    assert tensors.kinds[name] == "Q4_0"


def test_the_command_takes_both_ways(tmp_path: Path) -> None:
    there = convert_model("tiny", wanted("gguf"), tmp_path / "a.gguf")
    back = convert_model(str(tmp_path / "a.gguf"), wanted("safetensors"), tmp_path / "b")
    assert (there["exact"], back["exact"], back["stored"]) == (True, True, "F16")
    assert (tmp_path / "b/model.safetensors").read_bytes() == (shipped_folder() / "model.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf", "b"]


@pytest.mark.parametrize(("name", "said"), [
    ("Q4_K_M", "workbench quantise MODEL --to Q4_K_M"), ("safetensor", "did you mean 'safetensors'"), ("zip", "there"),
])
def test_an_unknown_format_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wanted(name)


def test_a_pickled_checkpoint_is_refused_with_the_reason(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(shipped_folder() / name, tmp_path / name)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UsageError, match="a program that runs when it is opened"):
        convert_model(str(tmp_path), wanted("gguf"), tmp_path / "a.gguf")


def test_a_file_cut_short_is_one_line(tmp_path: Path) -> None:
    whole = find("tiny", "F16").path.read_bytes()
    for size in (10, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.gguf").write_bytes(whole[:size])
        with pytest.raises(WorkbenchError) as caught:
            to_folder(tmp_path / "a.gguf", tmp_path / "b")
        assert "a.gguf" in str(caught.value)
        assert not (tmp_path / "b").exists()
