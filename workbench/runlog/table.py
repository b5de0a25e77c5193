"""The run log as a table: Parquet on disk, Arrow in memory, NumPy where it is computed with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workbench.errors import Failure
from workbench.files import atomic
from workbench.runlog.part import KIND, SUFFIX, check_schema, part_path, read_part
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import COLUMNS, LIST_COLUMNS, OUTCOMES, SCHEMA, TEXT_COLUMNS, Row
from workbench.runlog.segments import Segments
from workbench.runlog.stored import attach, detach

_META = b"workbench"
CHUNK_COLUMNS = frozenset({"chunk_ns", "chunk_tok"})
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def _type(name: str) -> pa.DataType:
    if name in TEXT_COLUMNS:
        return pa.string()
    if name in LIST_COLUMNS:
        return pa.list_(pa.int64())
    return pa.bool_() if name == "warmup" else pa.int64()


ARROW = pa.schema([pa.field(name, _type(name)) for name in COLUMNS])


@dataclass(frozen=True)
class RunLog:
    """Rows and where they come from. `partial` is true for a run that did not end by itself.

    A large simulated log has `segments` instead of the lists `chunk_ns` and `chunk_tok`; `lists` and `rows` give the
    lists from either.
    """

    provenance: Provenance
    table: pa.Table
    partial: bool = False
    segments: Segments | None = None

    @staticmethod
    def from_rows(provenance: Provenance, rows: Sequence[Row], *, partial: bool = False) -> "RunLog":
        return RunLog.from_columns(
            provenance, {name: [getattr(row, name) for row in rows] for name in COLUMNS}, partial=partial
        )

    @staticmethod
    def from_columns(
        provenance: Provenance, columns: Mapping[str, Any], *, partial: bool = False
    ) -> "RunLog":
        """Columns by name, as lists, NumPy or Arrow arrays; what is not given takes the row's default."""
        n = len(next(iter(columns.values()))) if columns else 0
        arrays = []
        for item in fields(Row):
            values = columns.get(item.name)
            arrays.append(pa.array([item.default] * n if values is None else values, type=_type(item.name)))
        return RunLog(provenance, pa.table(arrays, schema=ARROW), partial)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def world(self) -> str:
        """`measured` for a real run, `simulated` for a simulated one: the word shown beside its numbers."""
        return "measured" if self.provenance.world == "real" else "simulated"

    def ints(self, name: str, missing: int = -1) -> Ints:
        """A column as int64, with `missing` where it is null."""
        return np.asarray(self.table.column(name).fill_null(missing).to_numpy(), dtype=np.int64)

    def floats(self, name: str) -> Floats:
        """A column as float64, NaN where it is null (nanoseconds below 2**53, 104 days, stay exact)."""
        column = pc.cast(self.table.column(name), pa.float64(), safe=False)
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)

    def text(self, name: str) -> NDArray[np.object_]:
        return np.asarray(self.table.column(name).to_pandas(), dtype=object)

    def flags(self, name: str = "warmup") -> NDArray[np.bool_]:
        return np.asarray(self.table.column(name).to_numpy(), dtype=bool)

    def lists(self, name: str) -> tuple[Ints, Ints]:
        """A list column flattened: (row index of each value, values)."""
        if self.segments is not None and name in CHUNK_COLUMNS:
            row, at_ns = self.segments.expand()
            return row, at_ns if name == "chunk_ns" else np.ones_like(at_ns)
        column = self.table.column(name).combine_chunks()
        lengths = np.asarray(column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
        values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.int64)
        return np.repeat(np.arange(len(self), dtype=np.int64), lengths), values

    def where(self, mask: NDArray[np.bool_]) -> "RunLog":
        kept = None if self.segments is None else self.segments.where(mask)
        return replace(self, table=self.table.filter(pa.array(mask)), segments=kept)

    @cached_property
    def counted(self) -> "RunLog":
        """Without the warm-up rows: what every metric is computed on."""
        warm = self.flags("warmup")
        return self.where(~warm) if warm.any() else self

    @cached_property
    def ok(self) -> "RunLog":
        """The rows that succeeded."""
        good = self.is_ok
        return self if good.all() else self.where(good)

    @cached_property
    def is_ok(self) -> NDArray[np.bool_]:
        return np.asarray(pc.equal(self.table.column("outcome"), "ok").to_numpy(), dtype=bool)

    @property
    def with_lists(self) -> "RunLog":
        """The same log with `chunk_ns` and `chunk_tok` written out and no segments: large."""
        return self if self.segments is None else self.with_chunks(*self.segments.expand())

    def with_chunks(self, row: Ints, at_ns: Ints, tok: Ints | None = None) -> "RunLog":
        """With chunks, given by row and time, of one token each where `tok` is not given; rows without any keep null.
        """
        per_row = np.bincount(row, minlength=len(self))
        offsets = pa.array(np.r_[0, np.cumsum(per_row)], mask=np.r_[per_row == 0, False], type=pa.int32())
        table = self.table
        for name, values in (("chunk_ns", at_ns), ("chunk_tok", np.ones_like(at_ns) if tok is None else tok)):
            column = pa.ListArray.from_arrays(offsets, pa.array(values))
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
        return replace(self, table=table, segments=None)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """For people: pandas with nullable integers."""
        found: pd.DataFrame = self.table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        return found

    def rows(self) -> list[Row]:
        """Back to row objects, for small logs and tests."""
        found = []
        for values in self.with_lists.table.to_pylist():
            for name in LIST_COLUMNS:
                values[name] = None if values[name] is None else tuple(values[name])
            found.append(Row(**values))
        return found

    def outcomes(self) -> dict[str, int]:
        """How many ended in which way; the values add up to the number of rows."""
        seen = {item["values"]: item["counts"] for item in self.table.column("outcome").value_counts().to_pylist()}
        return {name: int(seen.get(name, 0)) for name in OUTCOMES}


def write(log: RunLog, path: Path) -> Path:
    """Write Parquet under its final name, or nothing; a part file of the same run is then removed."""
    head = {"kind": KIND, "schema": SCHEMA, "partial": log.partial, "provenance": log.provenance.as_dict()}
    table, about = attach(log.table, log.segments)
    table = table.replace_schema_metadata({_META: json.dumps(head | about).encode()})
    with atomic(path, durable=True) as temporary:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=sorted(TEXT_COLUMNS - {"request_id"}))
    part_path(path).unlink(missing_ok=True)
    return path


def read(path: Path) -> RunLog:
    """Read a run log: a .parquet file, or the .part.jsonl of a run that was cut off."""
    if not path.exists():
        raise Failure(f"{path}: no such run log; `workbench runs list` shows what is there")
    if path.name.endswith(SUFFIX):
        part = read_part(path)
        return RunLog.from_rows(part.provenance, part.complete_rows(), partial=True)
    try:
        table = pq.read_table(path)
        head = json.loads((table.schema.metadata or {})[_META])
        assert head["kind"] == KIND
    except (pa.ArrowException, KeyError, ValueError, AssertionError) as error:
        raise Failure(f"{path.name}: not a run log (Parquet written by the workbench)") from error
    check_schema(head["schema"], path.name)
    columns = {name: table.column(name) for name in COLUMNS if name in table.column_names}
    filled = [
        columns[item.name].cast(_type(item.name)) if item.name in columns
        else pa.array([item.default] * table.num_rows, type=_type(item.name))
        for item in fields(Row)
    ]
    return RunLog(
        Provenance.from_dict(head["provenance"]), pa.table(filled, schema=ARROW), bool(head.get("partial", False)),
        detach(table, head, path.name),
    )


def finish(final: Path, *, partial: bool, provenance: Provenance | None = None) -> RunLog:
    """Turn the part file of `final` into Parquet; planned requests without a row become `unfinished`."""
    part = read_part(part_path(final))
    log = RunLog.from_rows(provenance or part.provenance, part.complete_rows(), partial=partial)
    write(log, final)
    return log
