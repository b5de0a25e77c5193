"""Reads a GGUF header that may lie: every count is bounded by the bytes that are left."""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from workbench.errors import Failure, UsageError

MAX_HEADER_BYTES = 100 << 20
MAX_ENTRIES = 1 << 16      # tensors, or metadata keys: real models have a few thousand at most
MAX_STRINGS = 1_000_000    # in all arrays together: the largest vocabularies and merge tables have half as many
MAX_DIMENSIONS = 4         # GGML_MAX_DIMS
_SCALARS = {0: "B", 1: "b", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`shape` is in numpy's order (rows first); `start` counts from the beginning of the file."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    start: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Scalars and strings are Python values, arrays of numbers numpy arrays, arrays of strings lists."""

    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]

    @property
    def params(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_gguf_header(path: Path) -> GgufHeader:
    """Header of a GGUF file of version 2 or 3; a damaged one is one line within a second."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as handle:
            if size_bytes < 24:
                raise Failure(f"{path.name}: {size_bytes} bytes are no GGUF file; make or fetch it again")
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
                return _Reader(view, size_bytes, path.name).header()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; `workbench models list` shows what is there") from error
    except OSError as error:
        raise Failure(f"{path.name}: cannot be read: {error.strerror or error}") from error


class _Reader:
    """A position in the mapped file."""

    def __init__(self, view: mmap.mmap, size_bytes: int, name: str) -> None:
        self._view, self._size, self._name = view, size_bytes, name
        self._end = min(size_bytes, MAX_HEADER_BYTES)
        self._at = 0
        self._strings = 0

    def _fail(self, problem: str) -> NoReturn:
        raise Failure(f"{self._name}: damaged GGUF header: {problem}; make or fetch the file again")

    def _take(self, count: int) -> bytes:
        if count > self._end - self._at:
            self._fail(f"{count} bytes wanted at {self._at}, {self._end - self._at} are left")
        piece = self._view[self._at:self._at + count]
        self._at += count
        return piece

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(value)

    def _count(self, what: str, smallest_bytes: int, most: int) -> int:
        count = self._number("<Q")
        if count > most or count * smallest_bytes > self._end - self._at:
            self._fail(f"{count} {what}")
        return count

    def _string(self, errors: str = "replace") -> str:
        return self._take(self._number("<Q")).decode("utf-8", errors)

    def _name_string(self, what: str) -> str:
        try:
            return self._string("strict")
        except UnicodeDecodeError:
            self._fail(f"{what} is not text")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        return self._numbers(kind, 1)[0].item()

    def _numbers(self, kind: int, count: int) -> np.ndarray[Any, Any]:
        if kind not in _SCALARS:
            self._fail(f"value type {kind}")
        form = np.dtype(_SCALARS[kind])
        return np.frombuffer(self._take(count * form.itemsize), dtype=form)

    def _array(self) -> Any:
        kind = self._number("<I")
        if kind == _ARRAY:
            self._fail("an array of arrays")
        if kind == _STRING:
            count = self._count("strings", 8, MAX_STRINGS - self._strings)
            self._strings += count
            return [self._string() for _ in range(count)]
        return self._numbers(kind, self._count("array items", 1, self._end))

    def _tensor(self) -> TensorInfo:
        name = self._name_string("a tensor's name")
        dimensions = self._number("<I")
        if dimensions > MAX_DIMENSIONS:
            self._fail(f"tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(reversed([self._number("<Q") for _ in range(dimensions)]))
        kind, offset = self._number("<I"), self._number("<Q")
        try:
            form = GGMLQuantizationType(kind)
            block, block_bytes = GGML_QUANT_SIZES[form]
        except (ValueError, KeyError):
            self._fail(f"tensor {name[:80]!r} has unknown type {kind}")
        items = math.prod(shape)
        if not shape or 0 in shape or shape[-1] % block or items > 8 * self._size * block:
            self._fail(f"tensor {name[:80]!r} has shape {shape}")
        return TensorInfo(name, shape, form, offset, items // block * block_bytes)

    def _collect(self, count: int, what: str, read: Callable[[], tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(count):
            name, value = read()
            if name in found:
                self._fail(f"{what} {name[:80]!r} comes twice")
            found[name] = value
        return found

    def _named_tensor(self) -> tuple[str, TensorInfo]:
        info = self._tensor()
        return info.name, info

    def _entry(self) -> tuple[str, Any]:
        return self._name_string("a key"), self._value(self._number("<I"))

    def header(self) -> GgufHeader:
        if self._take(4) != b"GGUF":
            raise Failure(f"{self._name}: not a GGUF file")
        version = self._number("<I")
        if version not in (2, 3):
            raise Failure(f"{self._name}: GGUF version {version}; versions 2 and 3 are read")
        tensor_count = self._count("tensors", 33, MAX_ENTRIES)
        metadata = self._collect(self._count("metadata keys", 13, MAX_ENTRIES), "key", self._entry)
        tensors: dict[str, TensorInfo] = self._collect(tensor_count, "tensor", self._named_tensor)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 16 or alignment & (alignment - 1):
            self._fail(f"alignment {alignment!r}")
        start = -(-self._at // alignment) * alignment
        return GgufHeader(metadata, {name: self._placed(info, start, alignment) for name, info in tensors.items()})

    def _placed(self, info: TensorInfo, data_start: int, alignment: int) -> TensorInfo:
        begin = data_start + info.start
        if info.start % alignment or begin + info.size_bytes > self._size:
            self._fail(f"tensor {info.name[:80]!r} ends beyond the file")
        return TensorInfo(info.name, info.shape, info.kind, begin, info.size_bytes)
