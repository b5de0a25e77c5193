"""What it takes to own machines: their price, electricity, housing. Rows with source and date, as the rented ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from workbench.hardware.prices import STALE_DAYS
from workbench.hardware.table import Line, lines, lookup, plain
from workbench.paths import datasets


@dataclass(frozen=True, slots=True)
class Dated:
    """What every row carries."""

    name: str
    as_of: date
    source: str

    def is_stale(self, today: date) -> bool:
        return (today - self.as_of).days > STALE_DAYS


@dataclass(frozen=True, slots=True)
class Server(Dated):
    """A machine to buy."""

    usd: float
    power_kw: float  # the most it draws
    accelerator: str
    accelerator_n: int


@dataclass(frozen=True, slots=True)
class Electricity(Dated):
    usd_per_kwh: float
    sector: str


@dataclass(frozen=True, slots=True)
class Facility(Dated):
    """A single fact, in `unit`."""

    value: float
    unit: str


Row = TypeVar("Row", Server, Electricity, Facility)


def server(name: str, path: Path | None = None) -> Server:
    return _find(name, path or _prices("servers.csv"), "server", _server)


def electricity(region: str, path: Path | None = None) -> Electricity:
    return _find(region, path or _prices("electricity.csv"), "electricity region", _electricity)


def facility(name: str, path: Path | None = None) -> Facility:
    return _find(name, path or _prices("facilities.csv"), "facility fact", _facility)


def _prices(file: str) -> Path:
    return datasets() / "prices" / file


def _find(name: str, path: Path, kind: str, parse: Callable[[Line], Row]) -> Row:
    table: Mapping[str, Row] = {row.name: row for row in map(parse, lines(path))}
    return lookup(table, {plain(key): key for key in table}, name, kind, f"datasets/prices/{path.name} lists them")


def _dated(line: Line, column: str = "name") -> tuple[str, date, str]:
    if not line.text("source"):
        raise line.error("source", "is empty: every row says where it is from")
    try:
        return line.text(column), date.fromisoformat(line.text("as_of")), line.text("source")
    except ValueError:
        raise line.error("as_of", "is no date; write YYYY-MM-DD") from None


def _server(line: Line) -> Server:
    line.one_of("currency", ("USD",))
    return Server(*_dated(line), line.positive("usd"), line.positive("power_kw"), line.text("accelerator"),
                  line.whole("accelerator_n"))


def _electricity(line: Line) -> Electricity:
    line.one_of("currency", ("USD",))
    return Electricity(*_dated(line, "region"), line.positive("usd_per_kwh"), line.text("sector"))


def _facility(line: Line) -> Facility:
    return Facility(*_dated(line), line.positive("value"), line.text("unit"))
