"""What a quantised model says of itself: how it was made, and the hash of every file; files that differ are refused.

A folder holds it as `workbench-provenance.json`; a GGUF file has it beside it, `NAME.gguf.provenance.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import write_json
from workbench.models.bounded import bounded_json

SCHEMA = 1
IN_FOLDER, BESIDE = "workbench-provenance.json", ".provenance.json"
LARGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Provenance:
    """`bits_per_weight` counts all files that hold weights. `reloads` are what each engine made of it."""

    method: str
    form: str
    bits_per_weight: float
    bytes: int
    params: int
    weights_id: str
    source: Mapping[str, Any]  # name, weights_id, licence
    library: Mapping[str, str]  # distribution or tool -> version
    calibration: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    files: Mapping[str, str]  # name below the folder -> sha256
    made_at_utc: str
    reloads: tuple[Mapping[str, Any], ...] = ()
    kept_despite: str = ""  # what was wrong with it when the user kept it nevertheless
    schema: int = field(default=SCHEMA)

    @property
    def tells_weights(self) -> bool:
        """Whether method, parameters and weights_id are known; of a fetched model only its files and source are."""
        return bool(self.weights_id)


def place(model: Path) -> Path:
    """Where the provenance of a model lies."""
    return model / IN_FOLDER if model.is_dir() else model.with_name(model.name + BESIDE)


def sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hashes(model: Path) -> dict[str, str]:
    """Of every file of a folder, or of the one file; links are refused."""
    if not model.is_dir():
        return {model.name: sha256(model)}
    found = {}
    for path in sorted(model.rglob("*")):
        if path.is_symlink():
            raise Failure(f"{model.name}: {path.name}: is a link; a model with a provenance holds its own files")
        if path.is_file() and path != model / IN_FOLDER:
            found[str(path.relative_to(model))] = sha256(path)
    return found


def write(model: Path, provenance: Provenance) -> None:
    write_json(place(model), asdict(provenance))


def read(model: Path) -> Provenance | None:
    """None where there is none; Failure where it is damaged, UsageError where it is newer than we are."""
    path = place(model)
    if not path.is_file():
        return None
    raw = bounded_json(path, LARGEST_BYTES)
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise UsageError(f"{path.name}: schema {schema}, this version reads up to {SCHEMA}; update the workbench")
    names = {item.name for item in fields(Provenance)}
    if schema != SCHEMA or not isinstance(raw.get("files"), dict) or set(raw) - names:
        raise Failure(f"{path.name}: damaged; quantise the model again")
    try:
        return Provenance(**raw | {"reloads": tuple(raw.get("reloads", ()))})
    except TypeError as error:
        raise Failure(f"{path.name}: damaged ({error}); quantise the model again") from error


def check(model: Path) -> Provenance | None:
    """Read it and compare every file; Failure names the first that is not what was written."""
    told = read(model)
    if told is None:
        return None
    found = hashes(model)
    if not model.is_dir() and len(told.files) == 1:  # the file may have been renamed with its provenance
        found = dict(zip(told.files, found.values(), strict=True))
    for name in sorted(set(found) | set(told.files)):
        if found.get(name) != told.files.get(name):
            what = "is missing" if name not in found else "is new" if name not in told.files else "has changed"
            raise Failure(f"{model.name}: {name[:80]} {what} since it was made ({told.made_at_utc}); "
                          "quantise or fetch it again, or remove the provenance if you changed it yourself")
    return told
