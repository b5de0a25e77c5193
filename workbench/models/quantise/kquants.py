"""K-quants: llama.cpp's quantiser decides every tensor's type; we hand it exact weights and name what came out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workbench.errors import Failure, UsageError
from workbench.files import atomic, write_json
from workbench.models import layout
from workbench.models.convert import WEIGHTS_KEY, Converted, convert
from workbench.models.folder import ModelFolder
from workbench.models.formats import K_QUANTS
from workbench.models.gguf_header import GgufHeader, read_gguf_header
from workbench.models.quantise import llama_library
from workbench.models.quantise.llama_tool import Tool
from workbench.models.tensors import Floats, stored_form
from workbench.models.weights import source_id, weights_id

BLOCK = 256  # values of a K-quant's block: QK_K
Importance = Mapping[str, Floats]  # GGUF tensor name -> mean square of each input column


def name_of(header: GgufHeader) -> str | None:
    """The K-quant that a file says it is, or None."""
    stated = header.metadata.get("general.file_type")
    return next((name for name, kind in K_QUANTS.items() if stated == int(kind)), None)


def make(folder: ModelFolder, quant: str, out: Path, tool: Tool, importance: Importance | None = None) -> Converted:
    """Write `out` from a folder: an exact GGUF first, then the tool on it. One id for a grown model and its source."""
    _refuse_narrow(folder, quant)
    with tempfile.TemporaryDirectory(prefix="workbench-quantise-") as scratch:
        exact = Path(scratch) / "exact.gguf"
        convert(folder, stored_form(folder.tensors), exact)
        with atomic(out) as temporary:
            run_tool(tool, exact, quant, temporary, importance)
            header = read_gguf_header(temporary)
            identity = _identity(folder, header, importance)
            put_id(temporary, identity)
    return Converted(out, quant, identity, header.params, out.stat().st_size)


def run_tool(tool: Tool, source: Path, quant: str, out: Path, importance: Importance | None) -> None:
    """In a process of its own: what llama.cpp does not like it answers with an abort."""
    with tempfile.TemporaryDirectory(prefix="workbench-quantise-") as scratch:
        matrix = Path(scratch) / "imatrix.gguf"
        if importance:
            write_importance(matrix, importance)
        if tool.kind == "program":
            words = [str(tool.path), *(["--imatrix", str(matrix)] if importance else []), str(source), str(out), quant,
                     "1"]
        else:
            order = {"library": str(tool.path), "source": str(source), "out": str(out),
                     "file_type": int(K_QUANTS[quant]), "imatrix": str(matrix) if importance else None}
            write_json(Path(scratch) / "order.json", order)
            words = [sys.executable, "-P", llama_library.__file__, str(Path(scratch) / "order.json")]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, env=_environment())
    if done.returncode or not out.is_file():
        said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        last = " | ".join(said[-2:])[:300] or f"exit code {done.returncode}"
        raise Failure(f"{source.name}: {quant} by {tool.label} failed: {last}")


def write_importance(path: Path, importance: Importance) -> None:
    """llama.cpp's own form: sums of squares and counts, as a GGUF file of type imatrix."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["workbench"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 1)
    for name, values in importance.items():
        writer.add_tensor(f"{name}.in_sum2", values.astype(np.float32)[None, :])
        writer.add_tensor(f"{name}.counts", np.ones((1, 1), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _environment() -> dict[str, str]:
    return {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if key in os.environ}


def _refuse_narrow(folder: ModelFolder, quant: str) -> None:
    for name, shape in layout.shapes(folder.arch).items():
        if len(shape) > 1 and shape[-1] % BLOCK:
            raise UsageError(f"{name}: rows of {shape[-1]} do not divide into {quant}'s blocks of {BLOCK}; "
                             "use Q8_0 or Q4_0")


def _identity(folder: ModelFolder, header: GgufHeader, importance: Importance | None) -> str:
    kinds = {name: header.tensors[layout.gguf_name(name)].kind.name for name in folder.ungrown_shapes}
    if importance:
        kinds["importance"] = importance_id(importance)
    return weights_id(source_id(folder.ungrown), kinds)


def importance_id(importance: Importance) -> str:
    total = hashlib.sha256(b"inference-workbench importance 1\n")
    for name in sorted(importance):
        total.update(f"{name} {importance[name].shape}\n".encode() + importance[name].astype("<f4").tobytes())
    return total.hexdigest()


def put_id(path: Path, identity: str) -> None:
    """A tool copies the id of what the file was made from: put its own, of the same length, in its place."""
    key = WEIGHTS_KEY.encode()
    with path.open("r+b") as handle:
        head = handle.read(1 << 20)
        at = head.find(key)
        if at < 0:
            raise Failure(f"{path.name}: {json.dumps(WEIGHTS_KEY)} is not in its header; quantise it again")
        handle.seek(at + len(key) + 4 + 8)  # value type, length
        handle.write(identity.encode())
