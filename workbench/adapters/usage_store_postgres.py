"""Usage in PostgreSQL through a psycopg connection; TimescaleDB takes the same SQL after `TIMESCALE`.

Sums of BIGINT are NUMERIC there, so they do not wrap. Text sorts by code point (collation C), as everywhere else.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from workbench.adapters.usage_store import COLUMNS, HOUR_NS, SqlUsage, declare

TEXT = 'TEXT COLLATE "C" NOT NULL'
TABLE = f"CREATE TABLE IF NOT EXISTS usage_facts ({declare(TEXT, 'BIGINT NOT NULL')}, PRIMARY KEY (key))"
# Not run here. A unique index of a hypertable holds the time as well, so two writers at once could store a key with two
# times: docs.timescale.com, "Enforce constraints with unique indexes".
TIMESCALE = """ALTER TABLE usage_facts DROP CONSTRAINT usage_facts_pkey, ADD PRIMARY KEY (key, at_ns);
SELECT create_hypertable('usage_facts', by_range('at_ns', 86400000000000));"""


class Connection(Protocol):
    """What is used of `psycopg.connect(...)`; not in autocommit, so that a batch is stored whole or not at all."""

    def cursor(self) -> Any: ...
    def transaction(self) -> Any: ...


class PostgresUsage(SqlUsage):
    """Two writers of the same new key at once: the second gets psycopg's UniqueViolation, adds its batch again, and
    is told whether it was the same fact."""

    def __init__(self, connection: Connection, slice_ns: int = HOUR_NS) -> None:
        super().__init__(slice_ns)
        self._connection = connection
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(TABLE)

    def _add(self, new: dict[str, tuple[Any, ...]]) -> int:
        with self._connection.transaction():
            return super()._add(new)

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # a lone % is an operator, unless parameters are given
            found: Sequence[Sequence[Any]] = cursor.execute(sql, parameters or None).fetchall()
            return found

    def _known(self, keys: list[str]) -> Sequence[Sequence[Any]]:
        return self._rows(f"SELECT {', '.join(COLUMNS)} FROM usage_facts WHERE key = ANY(%s)", [keys])

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        names = ", ".join(COLUMNS)
        with self._connection.cursor() as cursor, cursor.copy(f"COPY usage_facts ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
