"""A model in the form that an engine reads: a GGUF file, a safetensors folder, or an ONNX export; made once, cached."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from engines import Engine, own
from engines.environment import child_environment
from engines.lookup import require
from workbench.errors import Failure, UsageError
from workbench.models.convert import identify
from workbench.models.folder import ModelFolder
from workbench.models.manage import grow_to_folder
from workbench.models.quantised import method_of, open_quantised
from workbench.models.shipped import ModelFile, find, resolve
from workbench.models.written import write_folder
from workbench.paths import cache

STORED = "F16"  # the type in which the safetensors folders here hold their weights
PRECISIONS = {"F32": "fp32", "INT4": "int4"}  # of the exporter; fp16 exports, but fails on a CPU


def model_for(engine: Engine, model: str, quant: str = "") -> ModelFile:
    """`model` (a shipped name, a file, a folder) as `engine` reads it. Raises UsageError naming what it cannot read."""
    if "gguf" in engine.formats:
        return find(model, quant)
    if "safetensors" in engine.formats:
        return safetensors(model, quant)
    if "onnx" in engine.formats:
        return onnx(engine, model, quant)
    raise UsageError(f"engine {engine.name!r} needs no model; leave it out")


def safetensors(model: str, quant: str = "") -> ModelFile:
    """A folder as transformers and vLLM read it. Its weights are what they are: nothing is quantised here."""
    if (path := Path(model)).is_dir() and method_of(path) not in (None, "onnx"):
        return _as_it_is(path, quant)
    if quant.upper() not in ("", STORED):
        raise UsageError(f"quant: {quant!r}: a safetensors folder is served as it is ({STORED}); name a folder that "
                         "holds a quantised checkpoint, or an engine that reads GGUF")
    return _described(_written(resolve(model)), STORED)


def _as_it_is(path: Path, quant: str) -> ModelFile:
    """A quantised checkpoint or an export: its provenance, where it has one, is compared with its files."""
    found = open_quantised(path)
    if quant.upper() not in ("", found.quant.upper()):
        raise UsageError(f"quant: {quant!r}: {path.name} holds {found.quant}; leave it out, or name another folder")
    return found


def _written(folder: ModelFolder) -> ModelFolder:
    """What is computed (a grown model, random weights) is written to the cache once, whole or not at all."""
    if folder.origin is None and not folder.recipe:
        return folder
    recipe = f"-{hashlib.sha256(folder.recipe.encode()).hexdigest()[:8]}" if folder.recipe else ""
    out = cache() / "models" / f"{folder.name}-safetensors-{folder.arch.params}{recipe}"
    if not (out / "config.json").is_file():
        part = out.with_name(f".{out.name}.{os.getpid()}")
        if folder.origin is None:
            write_folder(folder, part)
        else:
            grow_to_folder(folder.origin.name, folder.arch.params, part)
        _place(part, out)
    return replace(resolve(str(out)), name=folder.name)


def _described(folder: ModelFolder, quant: str) -> ModelFile:
    size_bytes = sum(path.stat().st_size for path in folder.path.glob("*.safetensors"))
    return ModelFile(
        name=folder.name, path=folder.path, quant=quant, weights_id=identify(folder, STORED),
        grown_from=folder.origin.name if folder.origin else None, params=folder.arch.params,
        context_tok=folder.arch.context_tok, bytes=size_bytes, tokenizer_path=folder.tokenizer_path,
    )


def onnx(engine: Engine, model: str, quant: str = "") -> ModelFile:
    """An export made by the engine's own environment; seconds for a small model."""
    if (path := Path(model)).is_dir() and method_of(path) == "onnx":
        return _as_it_is(path, quant)
    wanted = quant.upper() or "F32"
    if wanted not in PRECISIONS:
        raise UsageError(f"quant: {quant!r}: exports are made in {', '.join(PRECISIONS)}")
    source = safetensors(model)
    release = require(engine).version() or ""
    key = hashlib.sha256(f"{release} {source.weights_id} {wanted}".encode()).hexdigest()[:16]
    out = cache() / "models" / f"{source.name}-onnx-{wanted}-{key}"
    if not (out / "genai_config.json").is_file():
        _export(engine, source.path, wanted, out)
    size_bytes = sum(path.stat().st_size for path in out.glob("model.onnx*"))
    exact = wanted == "F32"  # the same weights in more bits; INT4 is the exporter's own, known by what made it
    identity = identify(resolve(model), "F32") if exact else hashlib.sha256(f"onnx {key}".encode()).hexdigest()
    return replace(source, path=out, quant=wanted, bytes=size_bytes, weights_id=identity)


def _export(engine: Engine, source: Path, quant: str, out: Path) -> None:
    part = out.with_name(f".{out.name}.{os.getpid()}")
    part.mkdir(parents=True)
    words = [str(own.python(engine.name)), "-P", "-m", "onnxruntime_genai.models.builder", "-m", str(source), "-o",
             str(part), "-p", PRECISIONS[quant], "-e", "cpu", "-c", str(part / "builder")]
    done = subprocess.run(words, env=child_environment(ours=False), stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode or not (part / "genai_config.json").is_file():
        shutil.rmtree(part, ignore_errors=True)
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it wrote nothing"]
        raise Failure(f"export to ONNX {quant} failed: {last[0][:200]}")
    shutil.rmtree(part / "builder", ignore_errors=True)
    _place(part, out)


def _place(part: Path, out: Path) -> None:
    """Another process may have been faster: then its folder stays."""
    try:
        part.rename(out)
    except OSError:
        with contextlib.suppress(OSError):
            shutil.rmtree(part)
