"""Usage in ClickHouse, through a client of clickhouse-connect: a server's, or the engine in process (chdb).

Two traps. `sum(Int64)` wraps without a word (a period of a large tenant exceeds 2^63 pico-USD, 9.2 million USD): sums
are taken as Int256. No key is unique: what is known is looked up before it is inserted, and should two writers
insert the same fact at the same time, ReplacingMergeTree with FINAL counts it once.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from workbench.adapters.usage_store import COLUMNS, HOUR_NS, Dialect, SqlUsage, declare

TABLE = f"""CREATE TABLE IF NOT EXISTS usage_facts ({declare("String", "Int64")})
    ENGINE = ReplacingMergeTree ORDER BY key"""


class Client(Protocol):
    """What is used of `clickhouse_connect.get_client(...)`."""

    def command(self, cmd: str) -> Any: ...
    def query(self, query: str, parameters: Any = None) -> Any: ...
    def insert(self, table: str, data: Sequence[Sequence[Any]], column_names: Sequence[str]) -> Any: ...


class ClickHouseUsage(SqlUsage):
    """One writer at a time, if a key told with two contents shall be found out."""

    dialect = Dialect(total="sum(toInt256({}))", table="usage_facts FINAL")

    def __init__(self, client: Client, slice_ns: int = HOUR_NS) -> None:
        super().__init__(slice_ns)
        self._client = client
        client.command(TABLE)

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = self._client.query(sql).result_rows
        return found

    def _known(self, keys: list[str]) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = self._client.query(
            f"SELECT {', '.join(COLUMNS)} FROM usage_facts FINAL WHERE key IN {{keys:Array(String)}}",
            parameters={"keys": keys}).result_rows
        return found

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        self._client.insert("usage_facts", rows, column_names=COLUMNS)
