"""A quality log on disk: JSON lines while it grows, Parquet when it is whole, provenance in the file.

`ROWS.part.jsonl` has its provenance in the first line, then one line per finished item: a kill at any byte costs at
most the line that was being written. `ROWS.parquet` replaces it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import Failure
from workbench.files import atomic
from workbench.quality.rows import COLUMNS, LIST_COLUMNS, SCHEMA, Key, Row
from workbench.runlog.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KIND = "workbench.quality-log"
ROWS, PART = "rows.parquet", "rows.part.jsonl"
_META = b"workbench"
_INTS = frozenset({"repeat", "seed", "prompt_tok", "output_tok", "text_bytes", "took_ns"})
_FLOATS = frozenset({"score", "margin_nats"})
_FLAGS = frozenset({"correct", "truncated"})


@dataclass(frozen=True)
class QualityLog:
    """The rows of one model, quantisation and engine. `tasks` says of each task what it was: hash, form, template."""

    provenance: Provenance
    rows: tuple[Row, ...]
    partial: bool = False
    tasks: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def by_key(self) -> dict[Key, Row]:
        return {row.key: row for row in self.rows}

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """For people and for statistics: one line per item."""
        found: pd.DataFrame = table_of(self.rows).to_pandas()
        return found


class Growing:
    """The part file of one log: what it holds already, and what is added to it."""

    def __init__(
        self, folder: Path, provenance: Provenance, tasks: dict[str, Any], rows: Sequence[Row] = ()
    ) -> None:
        """`rows` are those to keep of what the folder held (`read`)."""
        self.path, self.provenance, self.tasks = folder / PART, provenance, tasks
        self.rows = {row.key: row for row in rows}
        head = {"kind": KIND, "schema": SCHEMA, "provenance": provenance.as_dict(), "tasks": tasks}
        lines = [head, *(row.as_dict() for row in self.rows.values())]
        with atomic(self.path, durable=True) as temporary:  # without the line that a kill cut short
            temporary.write_text("".join(_line(line) for line in lines), encoding="utf-8")
        self._handle: IO[bytes] = self.path.open("ab", buffering=0)

    def add(self, row: Row) -> None:
        """One row, on its way to the disk when this returns; an item is never added twice."""
        if row.key in self.rows:
            raise ValueError(f"{row.key} is there already")
        data = _line(row.as_dict()).encode()
        while data:
            data = data[self._handle.write(data):]
        self.rows[row.key] = row

    def close(self) -> None:
        if not self._handle.closed:
            os.fsync(self._handle.fileno())
            self._handle.close()

    def finish(self, rows: Sequence[Row] | None = None) -> QualityLog:
        """The whole log as Parquet; the part file goes. `rows` replace those that were added, judged meanwhile."""
        self.close()
        log = QualityLog(self.provenance, tuple(self.rows.values() if rows is None else rows), tasks=self.tasks)
        write(log, self.path.with_name(ROWS))
        self.path.unlink(missing_ok=True)
        return log


def write(log: QualityLog, path: Path) -> None:
    """Parquet under its final name, or nothing."""
    import pyarrow.parquet as pq

    head = {"kind": KIND, "schema": SCHEMA, "partial": log.partial, "provenance": log.provenance.as_dict(),
            "tasks": log.tasks}
    table = table_of(log.rows).replace_schema_metadata({_META: json.dumps(head).encode()})
    with atomic(path, durable=True) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: Path) -> QualityLog:
    """A `rows.parquet`, the `rows.part.jsonl` of a run that was cut off, or the folder of either."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_dir():
        path = path / (PART if (path / PART).exists() else ROWS)  # a part file holds what it goes on from
    if not path.exists():
        raise Failure(f"{path}: no such quality log; `workbench quality run SUITE.toml` makes one")
    if path.name.endswith(".jsonl"):
        return _read_part(path)
    try:
        table = pq.read_table(path)
        head = json.loads((table.schema.metadata or {})[_META])
        _check(head, path.name)
        rows = tuple(Row.from_dict(values) for values in table.to_pylist())
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise Failure(f"{path.name}: not a quality log (Parquet written by `workbench quality run`)") from error
    return QualityLog(Provenance.from_dict(head["provenance"]), rows, bool(head.get("partial")), head.get("tasks", {}))


def _read_part(path: Path) -> QualityLog:
    first, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    try:
        head = json.loads(first)
        _check(head, path.name)
        rows = [Row.from_dict(json.loads(line)) for line in rest.split("\n")[:-1] if line]
        provenance = Provenance.from_dict(head["provenance"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{path.name}: damaged quality log: {type(error).__name__}: {error}; remove it and run again"
                      ) from error
    return QualityLog(provenance, tuple(rows), True, head.get("tasks", {}))


def _check(head: Any, name: str) -> None:
    if not isinstance(head, dict) or head.get("kind") != KIND:
        raise ValueError("another kind of file")
    found = head.get("schema")
    if not isinstance(found, int) or not 1 <= found <= SCHEMA:
        raise Failure(f"{name}: quality log schema {found!r}; this version reads 1 to {SCHEMA}; upgrade the workbench")


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n"


def table_of(rows: Sequence[Row]) -> "pa.Table":
    """Arrow, in the order of COLUMNS."""
    import pyarrow as pa

    schema = pa.schema([pa.field(name, _type(name)) for name in COLUMNS])
    return pa.table({name: [getattr(row, name) for row in rows] for name in COLUMNS}, schema=schema)


def _type(name: str) -> Any:
    import pyarrow as pa

    if name in LIST_COLUMNS:
        return pa.list_(pa.float64() if name == "loglik" else pa.bool_())
    if name in _INTS | _FLOATS | _FLAGS:
        return pa.int64() if name in _INTS else pa.float64() if name in _FLOATS else pa.bool_()
    return pa.string()
