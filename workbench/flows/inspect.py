"""`workbench models inspect`: what a model is and needs, from its header, joined with what the engines here read."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import NAMES, find
from workbench.errors import UsageError, WorkbenchError
from workbench.flows.formats import readers
from workbench.hardware import architecture as shipped_architectures
from workbench.hardware import licences
from workbench.hardware.architecture import Architecture
from workbench.hardware.model_config import from_mapping
from workbench.models import headers, provenance
from workbench.models.headers import Header
from workbench.models.shipped import find as gguf_of
from workbench.models.shipped import resolve

_ID = re.compile(r"[\w.-]+/[\w.-]+(?<!\.gguf)")  # OWNER/NAME, which may be a folder too
ENGINE_FORM = {"GGUF": "gguf", "safetensors": "safetensors", "ONNX": "onnx"}


def inspect(model: str) -> dict[str, Any]:
    """A path, a shipped name, or an id from the table of architectures (then without weights)."""
    path = Path(model)
    if path.exists():
        return _described(headers.read(path), path, "")
    if _known(model) or _ID.fullmatch(model):
        return _by_id(model)
    shipped = _shipped(model)
    return _described(headers.read(shipped), shipped, model)


def _shipped(model: str) -> Path:
    """The folder of a shipped model, or the GGUF file that a computed one (grown, random) is made into."""
    folder = resolve(model)
    return folder.path if folder.origin is None and not folder.recipe else gguf_of(model).path


def _known(model: str) -> bool:
    try:
        shipped_architectures.find(model)
    except UsageError:
        return False
    return True


def _by_id(model: str) -> dict[str, Any]:
    found = shipped_architectures.find(model)
    licence = licences.find(model) or licences.find(found.name)  # an alias may have another than its namesake
    return {
        "name": found.name, "form": "not here", "method": "",
        "licence": licence.label if licence else "see its page", "tensors": None,
        "weight_bytes": None, "bits_per_weight": None, "kinds": {}, "provenance": None, "engines": [],
        **_architecture(found), "needs": {"note": f"`workbench models get {found.name}` fetches it; bf16 weights take "
                                                  f"{found.weight_bytes('bf16') / 1e9:.1f} GB"},
    }


def _described(header: Header, path: Path, name: str) -> dict[str, Any]:
    told = provenance.read(path) if path.is_dir() or path.suffix == ".gguf" else None
    found, why = _of_config(header)
    made = told if told is not None and told.tells_weights else None
    params = made.params if made else header.params or (found.params if found else None)
    method = made.method if made else header.method
    return {
        "name": name or header.name, "form": header.form, "method": method,
        "licence": told.source.get("licence", header.licence) if told else header.licence,
        "tensors": header.tensors, "weight_bytes": header.weight_bytes, "kinds": dict(header.kinds),
        **(_architecture(found) if found else {"architecture": header.config.get("model_type"), "not_computed": why}),
        "params": params, "bits_per_weight": round(8 * header.weight_bytes / params, 4) if params else None,
        "needs": _needs(header, found), "engines": _engines(header, method),
        "provenance": asdict(told) if told else None,
    }


def _of_config(header: Header) -> tuple[Architecture | None, str]:
    """Or the reason why its cache cannot be computed."""
    config: Mapping[str, Any] = header.config
    if header.form == "ONNX":
        config = {"intermediate_size": 1, **config}  # an export does not tell; only the cache is taken from here
    try:
        return from_mapping(config, header.name, header.name, wider=True), ""
    except WorkbenchError as error:
        return None, str(error)


def _architecture(found: Architecture) -> dict[str, Any]:
    return {
        "architecture": found.name, "params": found.params, "layers": found.layers, "hidden": found.hidden,
        "heads": found.heads, "kv_heads": found.kv_heads, "vocab": found.vocab, "context_tok": found.context_tok,
        "kv_bytes_per_tok": found.kv_bytes_per_tok(),
    }


def _needs(header: Header, found: Architecture | None) -> dict[str, Any]:
    """Memory for the weights, and for one request at the whole context with a 16-bit cache; the engine's own comes
    on top (`workbench memory`)."""
    if found is None:
        return {"weights_bytes": header.weight_bytes}
    kv = found.kv_bytes(found.context_tok)
    return {"weights_bytes": header.weight_bytes, "kv_bytes_full_context": round(kv),
            "bytes_one_full_request": header.weight_bytes + round(kv)}


def _engines(header: Header, method: str) -> list[dict[str, Any]]:
    """What was tried says more than what is claimed."""
    tried = readers(header.form, method)
    rows = []
    for name in NAMES:
        engine = find(name)
        if ENGINE_FORM[header.form] in engine.formats or name in tried:
            rows.append({"engine": name, "here": engine.version() is not None,
                         "says": tried.get(name, "claims to, untried")})
    return rows


