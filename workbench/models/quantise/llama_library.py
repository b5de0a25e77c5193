"""`python llama_library.py ORDER.json`: llama.cpp's quantiser in a shared library, called through ctypes.

Run as a script in a process of its own; imports nothing of ours, for an abort in the library must end nobody else.
"""

import ctypes
import json
import sys
from pathlib import Path
from typing import Any


class Parameters(ctypes.Structure):
    """`llama_model_quantize_params` as of 2026; the spare room at its end takes what a later version adds."""

    _fields_ = (
        ("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("output_type", ctypes.c_int32),
        ("embedding_type", ctypes.c_int32), ("allow_requantise", ctypes.c_bool), ("quantise_output", ctypes.c_bool),
        ("only_copy", ctypes.c_bool), ("pure", ctypes.c_bool), ("keep_split", ctypes.c_bool),
        ("dry_run", ctypes.c_bool), ("importance", ctypes.c_void_p), ("overrides", ctypes.c_void_p),
        ("types", ctypes.c_void_p), ("prune", ctypes.c_void_p), ("spare", ctypes.c_ubyte * 448),
    )


class Entry(ctypes.Structure):
    """`llama_model_imatrix_data`; a list of them ends with one without a name."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t))


def load(library: Path) -> Any:
    """The library with its sisters; a program that links them finds them, ctypes must be told."""
    found = ctypes.CDLL(str(library))
    backends = next(iter(sorted(library.parent.glob("libggml.*so*"))), None)
    backends = backends or next(iter(sorted(library.parent.glob("libggml.so*"))), None)
    if backends is not None:
        load_all = getattr(ctypes.CDLL(str(backends)), "ggml_backend_load_all_from_path", None)
        if load_all is not None:
            load_all.argtypes = [ctypes.c_char_p]
            load_all(str(library.parent).encode())
    return found


def parameters(library: Any) -> Parameters:
    """The library's defaults, refused where they are not laid out as we believe."""
    library.llama_model_quantize_default_params.restype = Parameters
    given: Parameters = library.llama_model_quantize_default_params()
    sound = (
        given.threads == 0 and 0 <= given.file_type < 64 and given.output_type == given.embedding_type
        and given.quantise_output and not given.only_copy and not given.pure and not given.importance
    )
    if not sound:
        raise SystemExit("this llama.cpp lays out its quantiser's parameters in another way; take llama-quantize")
    return given


def entries(path: str) -> Any:
    """The importance matrix as an array for the library; the caller keeps it alive."""
    import gguf

    reader = gguf.GGUFReader(path)
    found = {tensor.name.removesuffix(".in_sum2"): tensor.data for tensor in reader.tensors
             if tensor.name.endswith(".in_sum2")}
    made = (Entry * (len(found) + 1))()
    for entry, (name, values) in zip(made, found.items(), strict=False):
        row = (ctypes.c_float * values.size)(*values.reshape(-1).tolist())
        entry.name, entry.size = name.encode(), values.size
        entry.data = ctypes.cast(row, ctypes.POINTER(ctypes.c_float))
        entry._kept = row
    return made


def main(order: Path) -> int:
    asked = json.loads(order.read_text(encoding="utf-8"))
    library = load(Path(asked["library"]))
    given = parameters(library)
    given.threads, given.file_type = 1, asked["file_type"]
    matrix = entries(asked["imatrix"]) if asked["imatrix"] else None
    if matrix is not None:
        given.importance = ctypes.cast(matrix, ctypes.c_void_p)
    call = library.llama_model_quantize
    call.argtypes, call.restype = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p], ctypes.c_uint32
    return int(call(asked["source"].encode(), asked["out"].encode(), ctypes.addressof(given)))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
