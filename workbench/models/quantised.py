"""A folder that holds a quantised checkpoint or an ONNX export, as an engine is told of it: checked, not opened."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.models import pickled, provenance
from workbench.models.bounded import bounded_object
from workbench.models.folder import NEEDED
from workbench.models.shipped import ModelFile

ONNX_CONFIG = "genai_config.json"


def method_of(path: Path) -> str | None:
    """What the folder says it is quantised by (`gptq`, `compressed-tensors`, `onnx` ...), None for a plain model."""
    if (path / ONNX_CONFIG).is_file():
        return "onnx"
    if not (path / "config.json").is_file():
        return None
    told = bounded_object(path / "config.json").get("quantization_config")
    if told is None:
        return None
    name = told.get("quant_method") if isinstance(told, dict) else None
    if not isinstance(name, str):
        raise Failure(f"{path.name}/config.json: quantization_config: no quant_method; the folder is damaged")
    return name


def open_quantised(path: Path) -> ModelFile:
    """Hashes are compared with the provenance, where there is one. Raises UsageError for what is no such folder."""
    method = method_of(path)
    if method is None:
        raise UsageError(f"{path.name}: no quantised checkpoint; config.json has no quantization_config")
    for needed in ("tokenizer.json",) if method == "onnx" else NEEDED:
        if not (path / needed).is_file():
            raise UsageError(f"{path.name}: has no {needed}; a quantised folder holds it beside its weights")
    told = provenance.check(path)
    weights = [item for item in sorted(path.iterdir()) if item.suffix in (".safetensors", ".onnx", ".data")]
    if not weights:
        pickled.refuse(path)
        raise UsageError(f"{path.name}: has no safetensors or ONNX file; fetch or make it again")
    told = told if told is not None and told.tells_weights else None
    identity = told.weights_id if told else _identity(weights)
    return ModelFile(
        name=path.name, path=path.resolve(), quant=told.method if told else method, weights_id=identity,
        grown_from=None, params=told.params if told else 0, context_tok=_context_tok(path),
        bytes=sum(item.stat().st_size for item in weights), tokenizer_path=path / "tokenizer.json",
    )


def _identity(files: list[Path]) -> str:
    total = hashlib.sha256(b"inference-workbench quantised 1\n")
    for item in files:
        total.update(f"{item.name} {provenance.sha256(item)}\n".encode())
    return total.hexdigest()


def identity(source: str, method: str, files: dict[str, str]) -> str:
    """`weights_id` of what a method made: of its source and of the files that came out."""
    total = hashlib.sha256(f"inference-workbench quantised 1\n{source}\n{method}\n".encode())
    for name in sorted(files):
        total.update(f"{name} {files[name]}\n".encode())
    return total.hexdigest()


def _context_tok(path: Path) -> int:
    file, keys = ("config.json", ("max_position_embeddings",)) if (path / "config.json").is_file() else (
        ONNX_CONFIG, ("model", "context_length"))
    value: Any = bounded_object(path / file)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 24:
        raise Failure(f"{path.name}/{file}: {keys[-1]}: {value!r} is no size; the file is damaged or of another kind")
    return value
