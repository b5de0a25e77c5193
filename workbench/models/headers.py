"""What a model file or folder says of itself, header only: GGUF, safetensors plain or quantised, an ONNX export."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.models import onnx_header, pickled, tensors
from workbench.models.bounded import bounded_object
from workbench.models.gguf_header import read_gguf_header
from workbench.models.licence import licence_of
from workbench.models.quantised import ONNX_CONFIG, method_of
from workbench.models.shipped import quant_of

# of a GGUF's metadata, by the names that a config.json has
_GGUF_KEYS = {
    "hidden_size": "embedding_length", "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count", "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "intermediate_size": "feed_forward_length", "max_position_embeddings": "context_length",
    "num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length", "sliding_window": "attention.sliding_window",
}
_GGUF_KINDS = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gemma3": "gemma3_text"}  # else the same name
_ONNX_KEYS = {"hidden_size": "hidden_size", "num_hidden_layers": "num_hidden_layers", "head_dim": "head_size",
              "num_attention_heads": "num_attention_heads", "num_key_value_heads": "num_key_value_heads"}


@dataclass(frozen=True, slots=True)
class Header:
    """`config` is a config.json or what stands for it; `kinds` are bytes by element type; `params` is None where
    weights are packed and only the architecture tells how many there are."""

    name: str
    form: str
    method: str
    config: Mapping[str, Any]
    tensors: int
    params: int | None
    weight_bytes: int
    kinds: Mapping[str, int]
    licence: str


def read(path: Path) -> Header:
    """UsageError for what is no model, or is pickled; Failure in one line for a damaged one."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; `workbench models list` shows what ships")
    pickled.refuse(path)
    if path.is_dir():
        return _onnx(path) if (path / ONNX_CONFIG).is_file() else _safetensors(path)
    if path.suffix.lower() == ".gguf":
        return _gguf(path)
    if path.suffix == ".onnx":
        return _onnx(path.parent)
    if path.suffix == ".safetensors":
        return _safetensors(path.parent)
    raise UsageError(f"{path.name}: no model; .gguf, .onnx and .safetensors files and folders are read")


def _gguf(path: Path) -> Header:
    header = read_gguf_header(path)
    metadata = header.metadata
    kind = str(metadata.get("general.architecture", "?"))
    config: dict[str, Any] = {name: metadata.get(f"{kind}.{key}") for name, key in _GGUF_KEYS.items()}
    words = metadata.get("tokenizer.ggml.tokens")
    config |= {
        "model_type": _GGUF_KINDS.get(kind, kind), "tie_word_embeddings": "output.weight" not in header.tensors,
        "vocab_size": metadata.get(f"{kind}.vocab_size") or (len(words) if isinstance(words, list) else None),
    }
    kinds: dict[str, int] = {}
    for tensor in header.tensors.values():
        kinds[tensor.kind.name] = kinds.get(tensor.kind.name, 0) + tensor.size_bytes
    return Header(
        name=str(metadata.get("general.name", path.stem))[:200], form="GGUF", method=quant_of(header),
        config={key: value for key, value in config.items() if value is not None}, tensors=len(header.tensors),
        params=header.params, weight_bytes=sum(kinds.values()), kinds=kinds,
        licence=str(metadata.get("general.license") or licence_of(path.parent))[:60],
    )


def _safetensors(folder: Path) -> Header:
    method = method_of(folder)
    found: dict[str, tensors.Place] = {}
    for path in tensors.files(folder):
        found |= tensors.places(path, any_type=True)
    kinds: dict[str, int] = {}
    for place in found.values():
        size = math.prod(place.shape) * tensors.ALL_BITS[place.form] // 8
        kinds[place.form] = kinds.get(place.form, 0) + size
    plain = sum(math.prod(place.shape) for place in found.values()) if method is None else None
    config = bounded_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    largest = max(sorted(kinds), key=lambda form: kinds[form]) if kinds else "none"
    return Header(
        name=folder.resolve().name, form="safetensors", method=method or largest, config=config, tensors=len(found),
        params=plain, weight_bytes=sum(kinds.values()), kinds=kinds, licence=licence_of(folder),
    )


def _onnx(folder: Path) -> Header:
    config = bounded_object(folder / ONNX_CONFIG)
    model = config.get("model")
    decoder = model.get("decoder") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(decoder, dict):
        raise Failure(f"{folder.name}/{ONNX_CONFIG}: no model.decoder; export it again")
    found = onnx_header.read_onnx(folder / "model.onnx")
    kinds: dict[str, int] = {}
    for item in found:
        bits = next((bits for name, bits in onnx_header.TYPES.values() if name == item.kind), 0)
        kinds[item.kind] = kinds.get(item.kind, 0) + math.prod(item.shape) * bits // 8
    told = {name: decoder.get(key) for name, key in _ONNX_KEYS.items()} | {
        "model_type": model.get("type"), "vocab_size": model.get("vocab_size"),
        "max_position_embeddings": model.get("context_length")}
    weight_bytes = sum(path.stat().st_size for path in folder.glob("model.onnx*"))
    largest = max(sorted(kinds), key=lambda kind: kinds[kind])
    return Header(
        name=folder.resolve().name, form="ONNX", method=f"onnx {largest}", config=told, tensors=len(found),
        params=onnx_header.params(found), weight_bytes=weight_bytes, kinds=kinds, licence=licence_of(folder),
    )
