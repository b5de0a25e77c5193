"""A folder of kernel tables: the wrong level, the wrong split, the wrong model; each is one line."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from kernel_tables import config, tables

from workbench.errors import UsageError
from workbench.hardware.model_config import from_config
from workbench.profile.kernels.folder import check_folder, check_model
from workbench.profile.kernels.load import load
from workbench.profile.kernels.same_model import contradiction


def test_another_level_than_the_right_one_is_said_so(tmp_path: Path) -> None:
    perf = tables(tmp_path, tps=(1, 2))
    assert check_folder(perf, 2) == perf / "tp2"
    for wrong, said in ((perf.parent, "the right one lies inside it, bf16;"),
                        (perf.parent.parent.parent, "the right one lies inside it, maker/model/bf16;"),
                        (perf / "tp2", "it lies inside the right one, "), (perf.parents[3], "it holds no tp1;")):
        with pytest.raises(UsageError) as error:
            load(wrong, config(tmp_path))
        assert said in str(error.value)
        assert "(--perf)" in str(error.value)
        assert "GPU/MODEL/bf16 that holds tp1" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"no tables for tensor parallelism 4; it has \[1, 2\]"):
        check_folder(perf, 4)


def test_the_folder_one_is_in_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables(tmp_path))
    found = load(Path("."), config(tmp_path))
    assert (found.subject.quant, found.subject.gpu) == ("bf16", "RTX4090")
    with pytest.raises(UsageError, match=r"it lies inside the right one, /.*/bf16;"):
        load(Path("tp1"), config(tmp_path))


def described(perf: Path, model: str, **sizes: int) -> Path:
    """meta.yaml as the profiler writes it (JSON is YAML)."""
    meta: dict[str, Any] = {"model": model, "tp_degrees": [1]}
    if sizes:
        meta["engine_effective"] = {"hf_overrides": {"num_hidden_layers": 1, **sizes}}
    (perf / "meta.yaml").write_text(json.dumps(meta))
    return perf


def test_the_config_of_another_model_is_refused_and_both_are_named(tmp_path: Path) -> None:
    perf, path = tables(tmp_path), config(tmp_path)
    load(described(perf, "maker/model", num_attention_heads=8, intermediate_size=1024, vocab_size=1000), path)
    load(described(perf, "maker/model", num_attention_heads=4, intermediate_size=512, vocab_size=500), path)  # TP 2
    for model, sizes, why in (
        ("meta-llama/Llama-3.1-8B", {}, "layers is 4 there and 32 in meta-llama/Llama-3.1-8B"),
        ("maker/Unheard-of-7B-chat", {}, "it has 0.0 billion parameters, and unheard-of-7b-chat says 7"),
        ("maker/model", {"num_attention_heads": 8, "intermediate_size": 2048, "vocab_size": 1000},
         "intermediate_size is 1024 there and 2048 in each shard of the tables"),
    ):
        with pytest.raises(UsageError) as error:
            load(described(perf, model, **sizes), path)
        assert str(error.value).startswith(f"dense.json: not the model of the kernel tables, {model}: {why}")


@pytest.mark.parametrize(("name", "file"), [
    ("NousResearch/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"), ("llama-3.1-8b", "meta-llama/Llama-3.1-8B"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "meta-llama/Llama-3.1-8B"), ("qwen/qwen3-32b-FP8", "Qwen/Qwen3-32B"),
    ("Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
    ("mistralai/Mixtral-8x7B-Instruct", "mistralai/Mixtral-8x7B-v0.1"),
    ("/models/snapshots/0e9e39f249a16976918f6564b8830bc894c89659", "Qwen/Qwen3-32B"), ("model", "Qwen/Qwen3-32B"),
])
def test_names_of_one_model_may_differ(public_data: Path, name: str, file: str) -> None:
    assert contradiction(name, from_config(public_data / f"llmservingsim/configs/model/{file}.json")) is None


def test_public_tables_go_with_their_own_model_only(public_data: Path) -> None:
    folder = public_data / "llmservingsim"
    tables_of = sorted(path.parent for path in folder.glob("perf/*/*/*/bf16/meta.yaml"))
    configs = sorted(folder.glob("configs/model/*/*.json"))
    assert len(tables_of) == 4
    for perf, path in itertools.product(tables_of, configs):
        if perf.parent.name == path.stem:
            check_model(perf, from_config(path))
            continue
        with pytest.raises(UsageError, match=f"{path.name}: not the model of the kernel tables, .*{perf.parent.name}"):
            check_model(perf, from_config(path))
