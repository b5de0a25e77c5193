"""Architectures: counted from dimensions, equal to published checkpoints, config files and facts."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import UsageError
from workbench.hardware import architecture, formats
from workbench.hardware.model_config import from_config

# Tensor element counts as the hub shows them for the safetensors files.
PUBLISHED = {
    "Llama-2-7b": 6_738_415_616, "Llama-2-70b": 68_976_648_192, "Llama-3.1-8B": 8_030_261_248,
    "Llama-3.1-70B": 70_553_706_496, "Llama-3.1-405B": 405_853_388_800, "Llama-3.2-1B": 1_235_814_400,
    "Qwen3-8B": 8_190_735_360, "Qwen3-32B": 32_762_123_264, "Qwen3-30B-A3B": 30_532_122_624,
    "Qwen3-Coder-480B-A35B": 480_154_875_392, "Mixtral-8x7B": 46_702_792_704,
}
LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
    "num_hidden_layers": 32, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
}


def config(folder: Path, **change: Any) -> Path:
    path = folder / "model.json"
    values = {**LLAMA_8B, **change}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return path


@pytest.mark.parametrize(("name", "params"), PUBLISHED.items())
def test_parameters_follow_from_the_dimensions(name: str, params: int) -> None:
    assert architecture.find(name).params == params


def test_the_model_cards_agree() -> None:
    from workbench.paths import datasets

    with (datasets() / "models" / "architectures.csv").open(newline="") as handle:
        for row in csv.DictReader(handle):
            card = pytest.approx(float(row["published_params_b"]), rel=7e-3)  # cards round to three digits, or to two
            assert architecture.find(row["name"]).params / 1e9 == card


def test_a_mixture_uses_a_part_of_itself() -> None:
    assert architecture.find("qwen3-30b-a3b").active_params == 3_353_032_704
    assert architecture.find("qwen3-coder-480b").active_params / 1e9 == pytest.approx(35.5, abs=0.05)
    assert architecture.find("mixtral-8x7b").active_params / 1e9 == pytest.approx(12.9, abs=0.05)
    dense = architecture.find("qwen3-32b")
    assert dense.active_params == dense.params


@pytest.mark.parametrize(("name", "bytes_per_tok"), [
    ("Llama-2-7b", 524_288), ("Llama-3.1-8B", 131_072), ("Llama-3.1-70B", 327_680), ("Llama-3.1-405B", 516_096),
    ("Qwen3-32B", 262_144), ("Qwen3-30B-A3B", 98_304),
])
def test_kv_bytes(name: str, bytes_per_tok: int) -> None:
    found = architecture.find(name)
    assert found.kv_bytes_per_tok() == bytes_per_tok
    assert found.kv_bytes_per_tok("fp8") == bytes_per_tok / 2
    assert found.kv_bytes_per_tok("q8_0") == bytes_per_tok * 17 / 32


@pytest.mark.parametrize(("name", "quant", "gib"), [
    ("Llama-3.1-8B", "bf16", 14.96),  # vLLM's log: model weights take 14.96 GiB
    ("Llama-3.1-8B", "Q4_K_M", 4.58), ("Llama-3.1-8B", "Q8_0", 7.95),  # llama.cpp's table of file sizes
    ("Llama-3.1-8B", "fp8", 8.46),  # linear layers 6.5 GiB, tables 2 x 0.98 GiB stay 16 bits
    ("Llama-3.1-70B", "awq", 37.0),  # the hub's AWQ-INT4 files: 39.8 GB
])
def test_weight_bytes_match_real_files(name: str, quant: str, gib: float) -> None:
    assert architecture.find(name).weight_bytes(quant) / (1 << 30) == pytest.approx(gib, rel=5e-3)


def test_fewer_bits_never_weigh_more() -> None:
    found = architecture.find("qwen3-8b")
    whole = sorted((item for item in formats.FORMATS.values() if item.whole), key=lambda item: item.bits)
    weights = [found.weight_bytes(item.name) for item in whole]
    assert weights == sorted(weights)


def test_names_and_endings() -> None:
    for asked in ("llama-3.1-8b", "meta-llama/Meta-Llama-3.1-8B-Instruct", "Llama-3.1-8B-FP8",
                  "meta-llama/Llama-3.1-8B", "Meta-Llama-3.1-8B-Instruct-FP8"):
        assert architecture.find(asked).name == "meta-llama/Llama-3.1-8B"
    with pytest.raises(UsageError, match=r"Qwen3-32B.*config\.json"):
        architecture.find("Qwen3-33B")


def test_the_public_facts_agree(public_data: Path) -> None:
    """Counted by others from config files: same layers, KV bytes, and parameters but for norms and tied tables."""
    seen = set()
    with (public_data / "facts" / "model_facts.csv").open(newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                found = architecture.find(row["model"])
            except UsageError:
                continue
            if not row["kv_bytes_per_token_bf16"]:
                continue
            seen.add(found.name)
            assert found.layers == float(row["n_layers"])
            assert found.kv_bytes_per_tok() == float(row["kv_bytes_per_token_bf16"])
            untied = found.params + (found.vocab * found.hidden if found.tied else 0)
            assert untied / 1e9 == pytest.approx(float(row["params_b_untied"]), rel=2e-4)
    assert len(seen) >= 10


def test_config_files_give_the_same_numbers_as_the_table(public_data: Path) -> None:
    files = sorted((public_data / "llmservingsim" / "configs" / "model").rglob("*.json"))
    assert len(files) >= 6
    for path in files:
        read, known = from_config(path), architecture.find(path.stem)
        for field in ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab", "experts", "expert_ff", "params",
                      "active_params", "tied", "qk_norm"):
            assert getattr(read, field) == getattr(known, field), (path.name, field)


def test_a_config_needs_no_public_data(tmp_path: Path) -> None:
    found, known = from_config(config(tmp_path)), architecture.find("llama-3.1-8b")
    assert (found.params, found.head_dim, found.name) == (known.params, 128, "model")
    tied = from_config(config(tmp_path, tie_word_embeddings=True))
    assert found.params - tied.params == 128256 * 4096
    assert from_config(config(tmp_path, num_key_value_heads=None)).kv_heads == 32


def test_layers_without_experts_are_counted(tmp_path: Path) -> None:
    moe = {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    every = from_config(config(tmp_path, **moe))
    second = from_config(config(tmp_path, **moe, decoder_sparse_step=2))
    listed = from_config(config(tmp_path, **moe, mlp_only_layers=[0, 1, 2]))
    assert [found.moe_layers for found in (every, second, listed)] == [32, 16, 29]
    swapped = 3 * 4096 * 14336 - 8 * 3 * 4096 * 64 - 4096 * 8  # a dense layer instead of experts and their router
    assert second.params - every.params == 16 * swapped


@pytest.mark.parametrize(("change", "message"), [
    ({"num_key_value_heads": 5}, "cannot share 5"), ({"hidden_size": -1}, "hidden_size: -1 is no size"),
    ({"hidden_size": True}, "is no size"), ({"num_hidden_layers": 1 << 30}, "is no size"),
    ({"vocab_size": None}, "vocab_size: is missing"), ({"model_type": "mamba"}, "'mamba' is not read"),
    ({"kv_lora_rank": 512}, "kv_lora_rank"), ({"num_experts": 8, "num_experts_per_tok": 9}, "no mixture"),
    ({"hidden_size": 8}, "32 heads are more than the hidden size 8"),
    ({"num_hidden_layers": "32"}, "'32' is no size"),
    ({"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "mlp_only_layers": 3}, "is no list"),
])
def test_a_config_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        from_config(config(tmp_path, **change))
    assert str(caught.value).startswith("model.json: ")


def test_unknown_formats_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'q4_k_"):
        formats.find("Q4_K_N")
    with pytest.raises(UsageError, match="kv_type"):
        formats.kv_bytes("fp7")
