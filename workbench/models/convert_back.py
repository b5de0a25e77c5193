"""A GGUF file of a Llama as a safetensors folder. F32 and F16 come back to the bit; what was quantised stays lossy."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from workbench.errors import UsageError
from workbench.files import write_json
from workbench.models import tokenizer_back
from workbench.models.arch import SUPPORTED, Architecture
from workbench.models.folder import open_folder
from workbench.models.formats import half
from workbench.models.gguf_header import read_gguf_header
from workbench.models.gguf_tensors import GgufTensors
from workbench.models.tensors import SINGLE, Floats

STORED = ("F32", "F16")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was written. `exact`: every weight is the one that the file holds."""

    path: Path
    stored: str
    params: int
    bytes: int
    exact: bool


def to_folder(source: Path, out: Path, stored: str = "") -> Unpacked:
    """Weights as F32 or F16 (empty: F16 where that loses nothing, else F32); the folder is whole or absent."""
    if stored and stored not in STORED:
        raise UsageError(f"safetensors: {stored!r} is not written here; there are {', '.join(STORED)}")
    header = read_gguf_header(source)
    tensors = GgufTensors(source, header)
    part = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        values = {name: tensors.array(name) for name in tensors.shapes}
        wanted = stored or ("F16" if all(map(_fits, values.values())) else "F32")
        exact = wanted == "F32" or all(map(_fits, values.values()))
        save_file({name: _stored(value, wanted) for name, value in values.items()}, part / SINGLE,
                  metadata={"format": "pt"})
        write_json(part / "tokenizer.json", tokenizer_back.tokenizer_json(header.metadata, source.name))
        write_json(part / "tokenizer_config.json", tokenizer_back.tokenizer_config(header.metadata))
        write_json(part / "config.json", config(tensors.arch, header.metadata, wanted))
        open_folder(part)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Unpacked(out, wanted, tensors.arch.params, (out / SINGLE).stat().st_size, exact)


def config(arch: Architecture, metadata: dict[str, Any], stored: str) -> dict[str, Any]:
    """config.json as transformers reads it."""
    told = asdict(arch)
    return {
        "architectures": [SUPPORTED], "model_type": "llama",
        "dtype": {"F16": "float16", "F32": "float32"}[stored],
        "vocab_size": told["vocab"], "hidden_size": told["hidden"], "intermediate_size": told["feed_forward"],
        "num_hidden_layers": told["layers"], "num_attention_heads": told["heads"],
        "num_key_value_heads": told["kv_heads"], "head_dim": told["head_dim"],
        "max_position_embeddings": told["context_tok"], "hidden_act": "silu", "rms_norm_eps": _short(arch.norm_eps),
        "rope_theta": _short(arch.rope_theta),
        "rope_parameters": {"rope_theta": _short(arch.rope_theta), "rope_type": "default"},
        "tie_word_embeddings": told["tied"], "attention_bias": False, "mlp_bias": False,
        "bos_token_id": metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": metadata.get("tokenizer.ggml.eos_token_id"),
    }


def _fits(values: Floats) -> bool:
    """Whether F16 holds every value exactly."""
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())


def _stored(values: Floats, wanted: str) -> Any:
    """A norm that F16 would change stays F32: readers take each tensor's own type."""
    keep = wanted == "F32" or (values.ndim == 1 and not _fits(values))
    return np.ascontiguousarray(values if keep else half(values))


def _short(value: float) -> float:
    """GGUF holds it as a float32: the shortest decimal that means the same."""
    return float(str(np.float32(value)))
