"""`--allow-pickle` on real checkpoints that torch wrote: the same weights to the bit, and no program is ever run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from engines import own
from workbench.errors import UsageError
from workbench.flows.convert import convert_model, wanted
from workbench.models import pickled
from workbench.models.shipped import shipped_folder

torch_only = [pytest.mark.slow, pytest.mark.skipif(
    own.installed("transformers") is None, reason="torch is in an environment: workbench engines install transformers")]
WRITE = """
import os, pickle, sys, torch
from pathlib import Path
from safetensors.torch import load_file
source, out = map(Path, sys.argv[1:])
weights = load_file(str(source / "model.safetensors"))
names = list(weights)
class Program:
    def __reduce__(self):
        return os.system, (f"touch {out / 'RAN'}",)
def folder(name):
    (out / name).mkdir()
    return out / name
torch.save(weights, folder("plain") / "pytorch_model.bin")
shards = folder("shards")
torch.save({name: weights[name] for name in names[:9]}, shards / "pytorch_model-00001-of-00002.bin")
torch.save({name: weights[name] for name in names[9:]}, shards / "pytorch_model-00002-of-00002.bin")
(shards / "pytorch_model.bin.index.json").write_text("{}")
torch.save({"epoch": 3, "state_dict": weights}, folder("training") / "last.ckpt")
torch.save({"lm_head.weight": weights["model.embed_tokens.weight"], **weights}, folder("tied") / "pytorch_model.bin")
torch.save(weights, folder("beside") / "pytorch_model.bin")
torch.save(Path("x"), out / "beside/training_args.bin")
torch.save({**weights, "x": Program()}, folder("hostile") / "pytorch_model.bin")
with (folder("raw") / "pytorch_model.bin").open("wb") as file:
    pickle.dump({"a": Program()}, file)
torch.save({"a": 1}, folder("other") / "pytorch_model.bin")
whole = (out / "plain/pytorch_model.bin").read_bytes()
(folder("cut") / "pytorch_model.bin").write_bytes(whole[:len(whole) // 2])
"""
REFUSED = {"hostile": "nothing of it was run", "raw": "nothing of it was run",
           "other": "'a' is of type int, not a tensor",
           "cut": r"pytorch_model\.bin: torch's reader of plain tensors refuses it"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pickled")
    subprocess.run([str(own.python("transformers")), "-P", "-c", WRITE, str(shipped_folder()), str(out)], check=True)
    for folder in out.iterdir():
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(shipped_folder() / name, folder / name)
    return out


def with_marks(name: str) -> object:
    return pytest.param(name, marks=torch_only)


@pytest.mark.parametrize("name", [with_marks(name) for name in ("plain", "shards", "training", "tied", "beside")])
def test_the_weights_are_the_same_to_the_bit(name: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a program that runs when it is opened"):
        convert_model(str(made / name), wanted("safetensors"), tmp_path / "no")
    convert_model(str(made / name), wanted("safetensors"), tmp_path / "out", allow_pickle=True)
    assert (tmp_path / "out/model.safetensors").read_bytes() == (shipped_folder() / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", [with_marks(name) for name in REFUSED])
def test_what_holds_more_than_tensors_is_refused_and_never_run(name: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=REFUSED[name]):
        convert_model(str(made / name), wanted("gguf"), tmp_path / "a.gguf", allow_pickle=True)
    assert not (made / "RAN").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_trainer_leaves_beside_the_weights_is_none_of_them(tmp_path: Path) -> None:
    for name in ("training_args.bin", "optimizer.pt", "rng_state_0.pth", "pytorch_model.bin", "scheduler.pt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in pickled.found(tmp_path)] == ["pytorch_model.bin"]
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert pickled.found(tmp_path) == []
