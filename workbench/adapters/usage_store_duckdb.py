"""Usage in DuckDB: one file (or memory), no server. Needs the package duckdb; sums of BIGINT are HUGEINT there."""

from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa

from workbench.adapters.usage_store import COLUMNS, HOUR_NS, TEXTS, SqlUsage, declare

TABLE = f"""CREATE TABLE IF NOT EXISTS usage_facts (
    {declare("VARCHAR NOT NULL", "BIGINT NOT NULL")}, PRIMARY KEY (key))"""


class Connection(Protocol):
    """What is used of `duckdb.connect(path)`."""

    def execute(self, query: str, parameters: Any = None) -> Any: ...
    def register(self, view_name: str, python_object: object) -> Any: ...
    def unregister(self, view_name: str) -> Any: ...


class DuckDbUsage(SqlUsage):
    """Analytics without a server: one process writes, as many as like read the file when it does not."""

    def __init__(self, connection: Connection, slice_ns: int = HOUR_NS) -> None:
        super().__init__(slice_ns)
        self._connection = connection
        connection.execute(TABLE)

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = self._connection.execute(sql).fetchall()
        return found

    def _known(self, keys: list[str]) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = self._connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM usage_facts WHERE key IN (SELECT unnest(?::VARCHAR[]))", [keys],
        ).fetchall()
        return found

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        """As one table: row by row takes a thousand times as long. One statement, so all or nothing."""
        kinds = [pa.string() if name in TEXTS else pa.int64() for name in COLUMNS]
        columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
        self._connection.register("new_facts", pa.table(columns, names=list(COLUMNS)))
        try:
            self._connection.execute(f"INSERT INTO usage_facts SELECT {', '.join(COLUMNS)} FROM new_facts")
        finally:
            self._connection.unregister("new_facts")
