"""`workbench convert`: another container for the same weights. What loses bits is `workbench quantise`."""

import contextlib
import difflib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines import find as find_engine
from workbench.errors import UsageError
from workbench.flows import quantise_child, quantise_environments
from workbench.flows.engine_models import onnx
from workbench.models import formats, pickled, quantise
from workbench.models.convert import convert
from workbench.models.convert_back import to_folder
from workbench.models.folder import ModelFolder, open_folder
from workbench.models.shipped import resolve
from workbench.models.tensors import SINGLE, stored_form
from workbench.models.written import write_folder

FORMATS = {
    "gguf": "GGUF in the type that holds every weight exactly", "gguf-f32": "GGUF F32", "gguf-f16": "GGUF F16",
    "gguf-bf16": "GGUF BF16", "safetensors": "a folder, F16 where that is exact, else F32",
    "safetensors-f16": "a folder in F16", "safetensors-f32": "a folder in F32", "onnx": "an export in float32",
}
WITH_TORCH = "transformers"  # the environment that opens a pickled checkpoint


@dataclass(frozen=True, slots=True)
class Wanted:
    """`form` is the container, `stored` the type asked for or empty."""

    form: str
    stored: str


def wanted(name: str) -> Wanted:
    """UsageError for what is no format, or is one that quantises."""
    if name.lower() in FORMATS:
        form, _, stored = name.lower().partition("-")
        return Wanted(form, stored.upper())
    if name.lower() in {known.lower() for known in quantise.METHODS}:
        raise UsageError(f"--to: {name}: that loses bits; `workbench quantise MODEL --to {name}` makes it and says "
                         "what it costs")
    near = difflib.get_close_matches(name.lower(), FORMATS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FORMATS)}"
    raise UsageError(f"--to: {name!r} is no format; {hint}")


def default_out(model: str, form: Wanted) -> Path:
    name = f"{Path(model).name.removesuffix('.gguf')}-{form.form}{f'-{form.stored.lower()}' if form.stored else ''}"
    return Path(f"{name}.gguf" if form.form == "gguf" else name)


def convert_model(model: str, form: Wanted, out: Path, *, allow_pickle: bool = False) -> dict[str, Any]:
    """Write `out`, whole or not at all; what was written, in a plain dictionary."""
    if out.exists():
        raise UsageError(f"{out.name}: exists already; remove it or choose another name with --out")
    if form.form == "gguf" and out.suffix != ".gguf":
        raise UsageError(f"--out: {out.name}: give a name that ends in .gguf")
    if model.lower().endswith(".gguf"):
        return _from_gguf(Path(model), form, out)
    path = Path(model)
    if path.exists() and pickled.found(path):
        if not allow_pickle:
            pickled.refuse(path)
        with tempfile.TemporaryDirectory(prefix="workbench-pickle-") as scratch:
            return _from_folder(unpickled(path, Path(scratch)), str(scratch), form, out)
    return _from_folder(resolve(model), model, form, out)


def unpickled(path: Path, scratch: Path) -> ModelFolder:
    """A pickled checkpoint's folder, copied beside tensors read by torch in an environment of its own."""
    if not quantise_environments.ready(WITH_TORCH):
        raise UsageError(f"{path.name}: torch opens it, and none is here: workbench engines install {WITH_TORCH}")
    folder = path if path.is_dir() else path.parent
    for item in folder.glob("*.json"):
        if item.is_file() and not item.name.endswith(".index.json"):
            shutil.copyfile(item, scratch / item.name)
    order = {"files": [str(item.resolve()) for item in pickled.found(path)], "out": str(scratch / SINGLE)}
    with tempfile.TemporaryDirectory(prefix="workbench-pickle-") as work:
        done = quantise_child.run(WITH_TORCH, "unpickle", order, Path(work))
    if "refused" in done:
        raise UsageError(done["refused"])
    return open_folder(scratch, path.stem)


def _from_gguf(source: Path, form: Wanted, out: Path) -> dict[str, Any]:
    if form.form == "safetensors":
        return _told(asdict(to_folder(source, out, form.stored)), out)
    with tempfile.TemporaryDirectory(prefix="workbench-convert-") as scratch:
        folder = Path(scratch) / source.stem
        to_folder(source, folder)
        return _from_folder(open_folder(folder), str(folder), form, out)


def _from_folder(folder: ModelFolder, model: str, form: Wanted, out: Path) -> dict[str, Any]:
    exact = stored_form(folder.tensors)
    if form.form == "gguf":
        stored = form.stored or exact
        return _told(asdict(convert(folder, formats.checked(stored), out)) | {"exact": stored in (exact, "F32")}, out)
    if form.form == "onnx":
        return _onnx(model, out)
    return _safetensors(folder, form, out)


def _safetensors(folder: ModelFolder, form: Wanted, out: Path) -> dict[str, Any]:
    """Through F32 GGUF, which is exact, so that there is one writer of folders for every type; ours go straight."""
    if form.stored in ("", "F16") and (folder.origin is not None or folder.recipe):
        with _parted(out) as part:
            write_folder(folder, part)
        return _told({"stored": "F16", "params": folder.arch.params, "exact": True,
                      "bytes": (out / SINGLE).stat().st_size}, out)
    with tempfile.TemporaryDirectory(prefix="workbench-convert-") as scratch:
        middle = Path(scratch) / "exact.gguf"
        convert(folder, "F32", middle)
        return _told(asdict(to_folder(middle, out, form.stored)), out)


def _onnx(model: str, out: Path) -> dict[str, Any]:
    made = onnx(find_engine("onnxruntime"), model, "F32")
    with _parted(out) as part:
        shutil.copytree(made.path, part)
    return _told({"stored": "F32", "params": made.params, "bytes": made.bytes, "exact": True}, out)


@contextlib.contextmanager
def _parted(out: Path) -> Iterator[Path]:
    """A folder under a temporary name, renamed when it is whole."""
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        yield part
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _told(found: dict[str, Any], out: Path) -> dict[str, Any]:
    params = found["params"]
    bits = round(8 * found["bytes"] / params, 4) if params else None
    return {**found, "path": out.name, "bits_per_weight": bits}
