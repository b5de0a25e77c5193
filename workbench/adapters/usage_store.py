"""Usage that lasts: facts in a database, each once, and the questions of chapter 14 asked of it.

`UsageStore` is the interface. DuckDB (in process), ClickHouse and PostgreSQL (or TimescaleDB) answer alike, and as
`CostTracker` does: integers, however large. What differs between them is in `Dialect`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from workbench.control.money.amounts import integer
from workbench.control.money.cost_tracker import Row
from workbench.control.money.errors import Conflict
from workbench.control.money.periods import NS
from workbench.control.money.usage import Usage

COLUMNS = ("key", "at_ns", "tenant", "model", "prompt_tok", "output_tok", "cached_tok", "cost_pusd", "user_name",
           "request_id", "price_pusd")
TEXTS = ("key", "tenant", "model", "user_name", "request_id")
GROUPS = ("tenant", "model", "slice_ns")
INT64 = 1 << 63
HOUR_NS = 3600 * NS


def declare(text: str, number: str) -> str:
    """The columns, as CREATE TABLE wants them."""
    return ", ".join(f"{name} {text if name in TEXTS else number}" for name in COLUMNS)


class Fact(NamedTuple):
    """Usage and the price that it was given."""

    usage: Usage
    price_pusd: int

    @property
    def columns(self) -> tuple[Any, ...]:
        return (*self.usage, self.price_pusd)


class User(NamedTuple):
    tenant: str
    user: str
    requests: int
    tokens: int
    cost_pusd: int
    price_pusd: int


class Spent(NamedTuple):
    """Within a slice of time, and from the beginning of the asked time to its end."""

    tenant: str
    slice_ns: int
    price_pusd: int
    so_far_pusd: int


class UsageStore(Protocol):
    """Times are half-open; slices begin at multiples of the store's `slice_ns`."""

    def add(self, facts: Sequence[Fact]) -> int: ...
    def by(self, *columns: str, from_ns: int = 0, until_ns: int = INT64 - 1) -> list[Row]: ...
    def top_users(self, n: int, from_ns: int = 0, until_ns: int = INT64 - 1) -> list[User]: ...
    def spent(self, from_ns: int = 0, until_ns: int = INT64 - 1) -> list[Spent]: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database sums 64-bit integers without wrapping, and names the table so that each key counts once."""

    total: str = "sum({})"
    table: str = "usage_facts"


class SqlUsage(ABC):
    """The queries; a database's own class gives `_rows`, `_known` and `_insert`."""

    dialect = Dialect()

    def __init__(self, slice_ns: int = HOUR_NS) -> None:
        self.slice_ns = integer("slice_ns", slice_ns, 1)

    def add(self, facts: Sequence[Fact]) -> int:
        """How many were new. All of them are kept or none: Conflict for a key with another content."""
        new = dict[str, tuple[Any, ...]]()
        for fact in facts:
            fact.usage.check()
            columns = fact.columns
            for name, value in zip(COLUMNS, columns, strict=True):
                least = -INT64 if name == "price_pusd" else 0  # a volume price can fall
                if name not in TEXTS and not least <= integer(name, value) < INT64:
                    raise ValueError(f"usage {fact.usage.key!r}: {name} {value} is not within [{least}, 2**63)")
            _same(fact.usage.key, new.setdefault(fact.usage.key, columns), columns)
        if not new:
            return 0
        return self._add(new)

    def _add(self, new: dict[str, tuple[Any, ...]]) -> int:
        for row in self._known(list(new)):
            _same(row[0], tuple(row), new.pop(row[0]))
        if new:
            self._insert(list(new.values()))
        return len(new)

    def by(self, *columns: str, from_ns: int = 0, until_ns: int = INT64 - 1) -> list[Row]:
        """Usage, cost and price by some of tenant, model, slice_ns; none: the total, if there is any usage."""
        for name in columns:
            if name not in GROUPS:
                raise ValueError(f"column {name!r} is not one of {', '.join(GROUPS)}")
        groups = [name for name in GROUPS if name in columns]
        sums = ", ".join(["count(*)", *map(self.dialect.total.format, (
            "prompt_tok", "cached_tok", "output_tok", "cost_pusd", "price_pusd"))])
        picked = "".join(f"{self._slice if name == 'slice_ns' else name} AS g_{name}, " for name in groups)
        grouping = " GROUP BY " + ", ".join(f"g_{name}" for name in groups) if groups else ""
        found = self._rows(
            f"SELECT {picked}{sums} FROM {self.dialect.table} WHERE {self._within(from_ns, until_ns)}{grouping}")
        return sorted(_row(groups, row) for row in found if row[len(groups)])

    def top_users(self, n: int, from_ns: int = 0, until_ns: int = INT64 - 1) -> list[User]:
        """Who cost us most, ties by name."""
        cost, price, prompt, output = map(self.dialect.total.format, (
            "cost_pusd", "price_pusd", "prompt_tok", "output_tok"))
        rows = self._rows(
            f"SELECT tenant, user_name, count(*), {prompt} + {output}, {cost} AS spent, {price} "
            f"FROM {self.dialect.table} WHERE {self._within(from_ns, until_ns)} GROUP BY tenant, user_name "
            f"ORDER BY spent DESC, tenant, user_name LIMIT {integer('n', n, 1)}")
        return [User(row[0], row[1], *map(int, row[2:])) for row in rows]

    def spent(self, from_ns: int = 0, until_ns: int = INT64 - 1) -> list[Spent]:
        """What each tenant's bill grew by, slice by slice: what a dashboard draws against a budget."""
        price = self.dialect.total.format("price_pusd")
        rows = self._rows(
            f"SELECT tenant, begin_ns, price, sum(price) OVER (PARTITION BY tenant ORDER BY begin_ns) FROM ("
            f"SELECT tenant, {self._slice} AS begin_ns, {price} AS price FROM {self.dialect.table} "
            f"WHERE {self._within(from_ns, until_ns)} GROUP BY tenant, begin_ns) AS slices ORDER BY tenant, begin_ns")
        return [Spent(row[0], *map(int, row[1:])) for row in rows]

    @property
    def _slice(self) -> str:
        return f"at_ns - at_ns % {self.slice_ns}"

    def _within(self, from_ns: int, until_ns: int) -> str:
        return f"at_ns >= {integer('from_ns', from_ns)} AND at_ns < {integer('until_ns', until_ns)}"

    @abstractmethod
    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Of a query without parameters."""

    @abstractmethod
    def _known(self, keys: list[str]) -> Sequence[Sequence[Any]]:
        """Rows with one of these keys, columns in the order of COLUMNS."""

    @abstractmethod
    def _insert(self, rows: list[tuple[Any, ...]]) -> None: ...


def _same(key: str, before: tuple[Any, ...], now: tuple[Any, ...]) -> None:
    if before != now:
        raise Conflict(f"usage {key!r}: stored before as {before}, now {now}; a new fact needs a new key")


def _row(groups: list[str], values: Sequence[Any]) -> Row:
    key = dict(zip(groups, values, strict=False))
    return Row(key.get("tenant", ""), key.get("model", ""), int(key.get("slice_ns", 0)),
               *map(int, values[len(groups):]))
