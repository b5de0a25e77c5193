"""A sweep's folder: `points/ID/{run.parquet,summary.json,point.json,telemetry.jsonl}`, and an index made from them.

A point exists when its folder has its final name: it is written beside it, as `ID.part`, and renamed when it is whole.
The index is only a copy, made again from the points whenever it might not agree.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import read_json, write_json, write_text

KIND, SCHEMA = "workbench.sweep-point", 1
POINT, INDEX, PART = "point.json", "index.jsonl", ".part"
Row = dict[str, Any]  # point.json: id, status, asked, fingerprint, metrics, guards, cost, energy, failure


@dataclass(slots=True)
class Store:
    """One sweep's folder, held by one process at a time (`opened`)."""

    folder: Path
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def points(self) -> Path:
        return self.folder / "points"

    def begin(self, point_id: str) -> Path:
        """An empty folder to write a point into."""
        part = self.points / (point_id + PART)
        _cleared(part)
        part.mkdir(parents=True)
        return part

    def commit(self, point_id: str, row: Row) -> None:
        """Write its row and give the folder its name; what lay there with another fingerprint moves aside."""
        part, final = self.points / (point_id + PART), self.points / point_id
        row = {"kind": KIND, "schema": SCHEMA, "id": point_id} | row
        write_json(part / POINT, row)
        _sync(part)
        if final.exists():
            self._aside(final)
        part.rename(final)
        _sync(self.points)
        self.rows[point_id] = row
        self.write_index()

    def _aside(self, final: Path) -> None:
        old = self.folder / "superseded"
        old.mkdir(exist_ok=True)
        number = 1
        while (target := old / f"{final.name}.{number}").exists():
            number += 1
        final.rename(target)

    def write_index(self) -> None:
        """One line a point, in the order of ids; never half-written."""
        lines = [json.dumps(self.rows[name], ensure_ascii=False, allow_nan=False) for name in sorted(self.rows)]
        write_text(self.folder / INDEX, "".join(line + "\n" for line in lines))

    def load(self) -> None:
        """Read all points."""
        self.rows = {}
        for path in sorted(self.points.iterdir()) if self.points.is_dir() else []:
            if path.is_dir() and not path.name.endswith(PART):
                self.rows[path.name] = read_point(path)


def read_point(folder: Path) -> Row:
    """Raises Failure naming what is wrong with it."""
    row = read_json(folder / POINT)
    if not isinstance(row, dict) or row.get("kind") != KIND or row.get("id") != folder.name:
        raise Failure(f"{folder.name}/{POINT}: is not the row of this point; move the folder away and run again")
    schema = row.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise Failure(f"{folder.name}/{POINT}: schema {schema!r}; this version reads 1 to {SCHEMA}; "
                      "upgrade the workbench")
    return row


def read_rows(folder: Path) -> list[Row]:
    """The rows of a sweep, for reports: read from the points, so that it never depends on the index."""
    store = Store(folder)
    if not store.points.is_dir():
        raise UsageError(f"{folder}: no sweep; `workbench sweep run SWEEP.toml` makes one")
    store.load()
    return list(store.rows.values())


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """Hold the folder alone, with its points read and what a killed run left half-done removed."""
    (folder / "points").mkdir(parents=True, exist_ok=True)
    with (folder / "sweep.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f"{folder}: another sweep runs there; wait for it, or give another --out") from None
        store = Store(folder)
        for path in sorted(store.points.glob("*" + PART)):
            _cleared(path)
        store.load()
        store.write_index()
        yield store


def _cleared(path: Path) -> None:
    """Only ever a `.part` folder of our own; a link is not followed."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
