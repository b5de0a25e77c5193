"""The run log while a run goes on: `NAME.part.jsonl`, readable after a kill at any byte.

First line: kind, schema, provenance and the drawn schedule. Then one line per finished request, without
the columns that are not known.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

import orjson

from workbench.errors import Failure
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import COLUMNS, LIST_COLUMNS, SCHEMA, Planned, Row

KIND = "workbench.run-log"
SUFFIX = ".part.jsonl"


def part_path(final: Path) -> Path:
    """Where a run grows before it becomes `final` (a .parquet file)."""
    return final.with_name(final.name.removesuffix(".parquet") + SUFFIX)


def header(provenance: Provenance, schedule: Sequence[Planned]) -> str:
    """The first line, newline included."""
    value = {
        "kind": KIND, "schema": SCHEMA, "provenance": provenance.as_dict(),
        "schedule": [planned.as_list() for planned in schedule],
    }
    return json.dumps(value, separators=(",", ":")) + "\n"


def line(row: Row) -> str:
    """One request, newline included; unknown columns are left out."""
    values = {name: value for name in COLUMNS if (value := getattr(row, name)) is not None}
    return orjson.dumps(values).decode() + "\n"  # a third of the time: it is written while others are measured


class PartWriter:
    """Begins the part file, or appends to one that is begun; several processes may: each write is whole lines."""

    def __init__(self, path: Path, provenance: Provenance, schedule: Sequence[Planned]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        begun = path.exists()
        self._handle: IO[bytes] = path.open("ab", buffering=0)
        if not begun:
            self._write(header(provenance, schedule))

    def write(self, rows: Iterable[Row]) -> None:
        self.write_lines(map(line, rows))

    def write_lines(self, lines: Iterable[str]) -> None:
        """Of rows, by `line`."""
        self._write("".join(lines))

    def _write(self, text: str) -> None:
        """In one call, so that the system keeps it in one piece; what a full disk leaves over is an error."""
        data = text.encode()
        while data:
            data = data[self._handle.write(data) :]

    def close(self) -> None:
        if not self._handle.closed:
            os.fsync(self._handle.fileno())
            self._handle.close()


@dataclass(frozen=True, slots=True)
class Part:
    """What a part file held: the rows it had, and the plan they came from."""

    provenance: Provenance
    schedule: tuple[Planned, ...]
    rows: tuple[Row, ...]

    def complete_rows(self) -> tuple[Row, ...]:
        """Every row, and one `unfinished` row for each planned request without one; all with their prefixes."""
        seen = {row.request_id for row in self.rows}
        rows = self.rows + tuple(p.unfinished() for p in self.schedule if p.request_id not in seen)
        shared = {p.request_id: (p.prefix_ids, p.prefix_tok) for p in self.schedule if p.prefix_ids}
        if not shared:
            return rows
        return tuple(replace(row, prefix_ids=shared[row.request_id][0], prefix_tok=shared[row.request_id][1])
                     if row.request_id in shared else row for row in rows)


def check_schema(found: Any, name: str) -> None:
    """Readers take every version since 1; a newer one is refused naming both."""
    if not isinstance(found, int) or not 1 <= found <= SCHEMA:
        raise Failure(f"{name}: run log schema {found!r}; this version reads 1 to {SCHEMA}; upgrade the workbench")


def read_part(path: Path) -> Part:
    """Read a part file; a last line cut short by a kill is left out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    first, _, rest = text.partition("\n")
    try:
        top = json.loads(first)
        assert top["kind"] == KIND
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise Failure(f"{path.name}: not a run log; its first line says what it is") from error
    check_schema(top.get("schema"), path.name)
    try:
        schedule = tuple(Planned.from_list(item) for item in top["schedule"])
        provenance = Provenance.from_dict(top["provenance"])
        # the piece after the last newline was cut short by a kill
        rows = tuple(_row(json.loads(item)) for item in rest.split("\n")[:-1] if item)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{path.name}: damaged run log: {type(error).__name__}: {error}") from error
    return Part(provenance, schedule, rows)


_KNOWN = frozenset(item.name for item in fields(Row))


def _row(values: dict[str, Any]) -> Row:
    kept = {name: value for name, value in values.items() if name in _KNOWN}
    for name in LIST_COLUMNS & kept.keys():
        kept[name] = tuple(kept[name])
    return Row(**kept)
