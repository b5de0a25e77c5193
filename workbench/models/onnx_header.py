"""The initialisers of an ONNX file, read without trusting it: protobuf by hand, weights skipped, everything bounded."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from workbench.errors import Failure, UsageError

MOST_FIELDS = 30_000  # in all messages together: a graph of 126 layers has about 17,000
MOST_DIMENSIONS = 8
# onnx.proto: the numbers of the fields, and of the element types with their bits
_GRAPH, _INITIALISER, _DIMS, _TYPE, _NAME = 7, 5, 1, 2, 8
TYPES = {1: ("F32", 32), 2: ("U8", 8), 3: ("I8", 8), 6: ("I32", 32), 7: ("I64", 64), 10: ("F16", 16),
         16: ("BF16", 16), 17: ("F8", 8), 18: ("F8", 8), 19: ("F8", 8), 20: ("F8", 8), 21: ("U4", 4), 22: ("I4", 4)}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Initialiser:
    """A constant of the graph: a weight, a scale, a table."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def params(self) -> int:
        """Weights that it stands for: scales and tables none, a block of packed 4-bit weights two a byte."""
        if ".weight" not in self.name or any(word in self.name for word in ("scale", "zero_point", "_zp")):
            return 0
        packed = self.kind == "U8" and len(self.shape) == 3
        return math.prod(self.shape) * (2 if packed else 1)


def params(found: list[Initialiser]) -> int:
    """Of the whole graph; what is there plain and quantised counts once."""
    names = {item.name for item in found}
    return sum(item.params for item in found if f"{item.name}_quantized" not in names)


def read_onnx(path: Path) -> list[Initialiser]:
    """Raises Failure in one line for a damaged file."""
    try:
        if path.stat().st_size < 16:
            raise Failure(f"{path.name}: {path.stat().st_size} bytes are no ONNX file; export it again")
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return _Reader(view, path.name).initialisers()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except OSError as error:
        raise Failure(f"{path.name}: cannot be read: {error.strerror or error}") from error


class _Reader:
    def __init__(self, view: mmap.mmap, name: str) -> None:
        self._view, self._name, self._fields = view, name, 0

    def _fail(self, problem: str) -> NoReturn:
        raise Failure(f"{self._name}: damaged ONNX file: {problem}; export it again")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        if at < end and self._view[at] < 0x80:  # nearly always
            return self._view[at], at + 1
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                self._fail(f"it ends within a number at {at}")
            byte = self._view[at]
            value |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                return value, at
        return self._fail(f"a number of more than ten bytes at {at}")

    def _message(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(field, wire type, begin, end of its value) of each field; a varint's value is `begin`."""
        at = start
        while at < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                self._fail("more fields than any model has")
            key, at = self._varint(at, end)
            field, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, at = self._varint(at, end)
                yield field, wire, value, at
                continue
            length, at = self._varint(at, end) if wire == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(wire, -1), at)
            if length < 0 or length > end - at:
                self._fail(f"a field of {length} bytes at {at}, {end - at} are left")
            yield field, wire, at, at + length
            at += length

    def initialisers(self) -> list[Initialiser]:
        found: list[Initialiser] = []
        for field, wire, start, end in self._message(0, len(self._view)):
            if field == _GRAPH and wire == _BYTES:
                found += [self._tensor(begin, stop) for inner, kind, begin, stop in self._message(start, end)
                          if inner == _INITIALISER and kind == _BYTES]
        if not found:
            self._fail("it holds no weights")
        return found

    def _tensor(self, start: int, end: int) -> Initialiser:
        name, kind, shape = "", 0, []  # type: tuple[str, int, list[int]]
        for field, wire, begin, stop in self._message(start, end):
            if field == _DIMS and wire == _VARINT:
                shape.append(begin)
            elif field == _DIMS:
                shape += self._packed(begin, stop)
            elif field == _TYPE and wire == _VARINT:
                kind = begin
            elif field == _NAME and wire == _BYTES:
                name = self._view[begin:min(stop, begin + 400)].decode("utf-8", "replace")
            if len(shape) > MOST_DIMENSIONS:
                self._fail(f"{len(shape)} dimensions")
        if any(size >= 1 << 48 for size in shape):
            self._fail(f"tensor {name[:80]!r} has shape {tuple(shape)}")
        return Initialiser(name, TYPES.get(kind, (f"type {kind}", 0))[0], tuple(shape))

    def _packed(self, at: int, end: int) -> list[int]:
        found: list[int] = []
        while at < end and len(found) <= MOST_DIMENSIONS:
            value, at = self._varint(at, end)
            found.append(value)
        return found
