"""JSON of a model folder, which may be anybody's: its size is looked at before it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.files import read_json

MOST_BYTES = 16 << 20  # an index of 100,000 tensors has about 10 MB


def bounded_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """Parsed; Failure names the folder and the file."""
    where = f"{path.parent.name}/{path.name}"
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise Failure(f"{where}: {error.strerror or error}; fetch or make the model again") from error
    if size_bytes > most_bytes:
        raise Failure(f"{where}: {size_bytes} bytes, more than any model needs; fetch the model again")
    return read_json(path)


def bounded_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    value = bounded_json(path, most_bytes)
    if not isinstance(value, dict):
        raise Failure(f"{path.parent.name}/{path.name}: not a JSON object; the folder is damaged")
    return value
