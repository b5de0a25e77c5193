"""Safetensors files read without trusting their header, one tensor at a time."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import Failure, UsageError
from workbench.models.bounded import bounded_object
from workbench.paths import inside

Floats = NDArray[np.float32]
MAX_HEADER_BYTES = 100 << 20
MAX_MARKS = 400_000  # brackets in the header: three a tensor; bounds what parsing it may cost
_FORMS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
# every type of the format, in bits: for headers; of values only the three above are read
ALL_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64,
}
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


class Tensors(Protocol):
    """Named weights by their Hugging Face names; `array` gives float32 of `shapes[name]`."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]: ...

    def array(self, name: str) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor lies in a file."""

    path: Path
    form: str
    shape: tuple[int, ...]
    start: int


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """(the parsed header, where the data begins)."""
    size_bytes = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size_bytes < 8 or length > min(size_bytes - 8, MAX_HEADER_BYTES):
            raise Failure(f"{path.name}: damaged safetensors header: {length} bytes long in a file of {size_bytes}")
        raw = handle.read(length)
    if raw.count(b"[") + raw.count(b"{") > MAX_MARKS or raw.count(b",") > 4 * MAX_MARKS:
        raise Failure(f"{path.name}: damaged safetensors header: more entries than any model has")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path.name}: damaged safetensors header: {str(error)[:100]}") from error
    if not isinstance(header, dict):
        raise Failure(f"{path.name}: damaged safetensors header: not a JSON object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _naturals(value: Any, most: int) -> tuple[int, ...] | None:
    """The list as a tuple when it holds at most `most` whole numbers from 0 up."""
    good = isinstance(value, list) and len(value) <= most
    if good and all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 48 for item in value):
        return tuple(value)
    return None


def places(path: Path, *, any_type: bool = False) -> dict[str, Place]:
    """Every tensor of one file; sizes, gaps and overlaps are checked against the file. `any_type`: of quantised
    checkpoints too, whose values are not read here."""
    known = ALL_BITS if any_type else {form: ALL_BITS[form] for form in _FORMS}
    try:
        header, data_start = _header(path)
        size_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except OSError as error:
        raise Failure(f"{path.name}: cannot be read: {error.strerror or error}") from error
    found: dict[str, tuple[int, int, Place]] = {}
    for name, entry in header.items():
        where = f"{path.name}: tensor {name[:80]!r}"
        fields = entry if isinstance(entry, dict) else {}
        shape, offsets = _naturals(fields.get("shape"), 8), _naturals(fields.get("data_offsets"), 2)
        form = fields.get("dtype")
        if shape is None or offsets is None or len(offsets) != 2 or not isinstance(form, str):
            raise Failure(f"{where}: damaged entry")
        if form not in known:
            raise UsageError(f"{where}: type {form[:20]}; only {', '.join(known)} are read"
                             + ("" if any_type else " (quantised already?)"))
        if 8 * (offsets[1] - offsets[0]) != math.prod(shape) * known[form]:
            raise Failure(f"{where}: its offsets do not fit its shape {shape}")
        found[name] = (*offsets, Place(path, form, shape, data_start + offsets[0]))
    end = 0
    for start, stop, place in sorted(found.values(), key=lambda item: item[:2]):
        if start != end:
            raise Failure(f"{path.name}: tensors overlap or leave a gap at byte {place.start}")
        end = stop
    if data_start + end != size_bytes:
        raise Failure(f"{path.name}: {size_bytes} bytes, its header tells of {data_start + end}; cut short?")
    return {name: place for name, (_, _, place) in found.items()}


class SafetensorsFolder:
    """All weights of a folder with one file, or with an index over several."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, Place] = {}
        for path in files(folder):
            for name, place in places(path).items():
                if name in self._places:
                    raise Failure(f"{folder.name}: tensor {name[:80]!r} lies in two files")
                self._places[name] = place
        self.shapes = {name: place.shape for name, place in self._places.items()}
        self.forms = frozenset(place.form for place in self._places.values())

    def array(self, name: str) -> Floats:
        place = self._places[name]
        count = math.prod(place.shape)
        raw = np.fromfile(place.path, dtype=_FORMS[place.form], count=count, offset=place.start)
        if place.form == "BF16":
            raw = (raw.astype("<u4") << 16).view("<f4")
        values: Floats = raw.astype(np.float32).reshape(place.shape)
        if not np.isfinite(values).all():
            raise Failure(f"{place.path.name}: tensor {name!r} holds NaN or infinity; fetch or train the model again")
        return values


def stored_form(tensors: Tensors) -> str:
    """The type of F16, BF16 and F32 that holds every weight exactly; what is computed here is exact in F16."""
    inner = getattr(tensors, "tensors", tensors)  # a grown model's own
    forms: frozenset[str] = getattr(inner, "forms", frozenset({"F16"}))
    return next(iter(forms)) if len(forms) == 1 else "F32"


def files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, the index's where there is one."""
    if not (folder / INDEX).is_file():
        return [folder / SINGLE]
    names = bounded_object(folder / INDEX).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise Failure(f"{folder.name}/{INDEX}: weight_map is missing or damaged")
    if any(not name.endswith(".safetensors") for name in names.values()):
        raise Failure(f"{folder.name}/{INDEX}: names a file that is no safetensors; pickled weights are not read")
    return [inside(folder, name) for name in sorted(set(names.values()))]
