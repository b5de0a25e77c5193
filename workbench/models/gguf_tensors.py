"""The weights of a GGUF file of a Llama, by their Hugging Face names, in float32 and in Hugging Face's order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.errors import Failure
from workbench.models import arch as architecture
from workbench.models import formats, layout
from workbench.models.arch import Architecture
from workbench.models.gguf_header import GgufHeader, read_gguf_header
from workbench.models.tensors import Floats


class GgufTensors:
    """`kinds` holds each tensor's GGUF type. Whatever the file's format, `array` gives what it stands for."""

    def __init__(self, path: Path, header: GgufHeader | None = None) -> None:
        self._path = path
        self._header = header or read_gguf_header(path)
        self.arch: Architecture = architecture.from_gguf(
            self._header.metadata, frozenset(self._header.tensors), path.name)
        self.shapes = layout.shapes(self.arch)
        self.kinds: dict[str, str] = {}
        for name, shape in self.shapes.items():
            found = self._header.tensors.get(layout.gguf_name(name))
            if found is None or found.shape != shape:
                told = "no such tensor" if found is None else str(found.shape)
                raise Failure(f"{path.name}: {layout.gguf_name(name)}: {told}, but its header asks for {shape}; "
                              "make or fetch the file again")
            self.kinds[name] = found.kind.name

    def array(self, name: str) -> Floats:
        place = self._header.tensors[layout.gguf_name(name)]
        raw = np.fromfile(self._path, dtype=np.uint8, count=place.size_bytes, offset=place.start)
        values = formats.from_bytes(raw, place.kind.name, place.shape)
        if not np.isfinite(values).all():
            raise Failure(f"{self._path.name}: tensor {layout.gguf_name(name)!r} holds NaN or infinity; "
                          "make or fetch the file again")
        heads = {layout.Q: self.arch.heads, layout.K: self.arch.kv_heads}.get(layout.part_of(name))
        return values if heads is None else rotary_halves(values, heads)


def rotary_halves(weight: Floats, heads: int) -> Floats:
    """The inverse of `convert.rotary_rows`: llama.cpp's neighbouring pairs back to Hugging Face's halves."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)
