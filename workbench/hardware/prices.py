"""Price tables: frozen rows with source and date; sentinels refused, old rows flagged."""

import csv
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, TypeVar, get_args

from workbench.errors import UsageError
from workbench.paths import datasets

AsOf = Literal["published", "checked", "retrieved", "given"]
STALE_DAYS = 365
NOT_OFFERED_USD = 700.0  # SkyPilot's GCP catalog writes 700.0 where a machine is not sold


@dataclass(frozen=True, slots=True)
class MachinePrice:
    """What an hour of one whole machine costs. `given` rows were typed by the user, not read from a table."""

    name: str
    usd_per_hour: float
    as_of: date
    as_of_kind: AsOf
    source: str
    provider: str = ""
    instance_type: str = ""
    accelerator: str = "none"
    accelerator_n: int = 0
    vram_gib_each: float | None = None
    vcpu_n: int | None = None
    memory_gib: float | None = None
    region: str = ""
    tier: str = ""
    spot_usd_per_hour: float | None = None

    def is_stale(self, today: date) -> bool:
        return (today - self.as_of).days > STALE_DAYS


@dataclass(frozen=True, slots=True)
class ApiPrice:
    """What a hosted model costs per million tokens."""

    name: str
    usd_per_million_input_tok: float
    usd_per_million_output_tok: float
    as_of: date
    as_of_kind: AsOf
    source: str
    provider: str = ""
    model: str = ""

    def is_stale(self, today: date) -> bool:
        return (today - self.as_of).days > STALE_DAYS


Price = TypeVar("Price", MachinePrice, ApiPrice)


def machines(path: Path | None = None) -> Mapping[str, MachinePrice]:
    """datasets/prices/machines.csv (or another file of its shape) by name."""
    return _table(path or datasets() / "prices" / "machines.csv", _machine)


def apis(path: Path | None = None) -> Mapping[str, ApiPrice]:
    """datasets/prices/apis.csv (or another file of its shape) by name."""
    return _table(path or datasets() / "prices" / "apis.csv", _api)


def find(table: Mapping[str, Price], name: str, kind: str) -> Price:
    """A row by name, or one line with the nearest names."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(table))}"
    raise UsageError(f"{kind} {name!r} is not in the price table; {hint}")


def usd(text: str, place: str, *, sentinel: bool = True) -> float:
    """A positive price; 0, NaN and the catalogs' "not offered" are refused, not computed with."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{place}: {text!r} is no price; write USD as a number") from None
    if not math.isfinite(value) or value <= 0:
        raise UsageError(f"{place}: {text}: a price is above 0 (0.00 in a catalog means 'none'); leave the row out")
    if sentinel and value == NOT_OFFERED_USD:
        raise UsageError(f"{place}: {text}: 700.0 means 'not offered' in SkyPilot's catalogs; leave the row out")
    return value


def _table(path: Path, parse: Callable[[Mapping[str, str], str], Price]) -> dict[str, Price]:
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            raw = list(csv.DictReader(handle, restval=""))
    except OSError as error:
        raise UsageError(f"{path.name}: cannot be read: {error.strerror or error}") from error
    found: dict[str, Price] = {}
    for number, line in enumerate(raw, start=2):
        place = f"{path.name}:{number}"
        row = _row(parse, line, place)
        if row.name in found:
            raise UsageError(f"{place}: name: {row.name!r} is there twice; names are unique")
        found[row.name] = row
    return found


def _row(parse: Callable[[Mapping[str, str], str], Price], line: Mapping[str, str], place: str) -> Price:
    try:
        if line["currency"] != "USD":
            raise UsageError(f"{place}: currency: {line['currency']!r}: only USD is read; convert it and name the rate")
        if not line["source"] or line["as_of_kind"] not in get_args(AsOf):
            raise UsageError(f"{place}: every price carries a source and as_of_kind ({', '.join(get_args(AsOf))})")
        return parse(line, place)
    except KeyError as error:
        raise UsageError(f"{place}: column {error} is missing; see datasets/prices/README.md") from None
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None


def _machine(line: Mapping[str, str], place: str) -> MachinePrice:
    spot = line["spot_usd_per_hour"]
    return MachinePrice(
        name=line["name"], usd_per_hour=usd(line["usd_per_hour"], f"{place}: usd_per_hour"),
        as_of=date.fromisoformat(line["as_of"]), as_of_kind=_kind(line), source=line["source"],
        provider=line["provider"], instance_type=line["instance_type"], accelerator=line["accelerator"],
        accelerator_n=int(line["accelerator_n"]), vram_gib_each=_optional(line["vram_gib_each"]),
        vcpu_n=int(line["vcpu_n"]) if line["vcpu_n"] else None, memory_gib=_optional(line["memory_gib"]),
        region=line["region"], tier=line["tier"],
        spot_usd_per_hour=usd(spot, f"{place}: spot_usd_per_hour") if spot else None,
    )


def _api(line: Mapping[str, str], place: str) -> ApiPrice:
    return ApiPrice(
        name=line["name"], provider=line["provider"], model=line["model"], source=line["source"],
        usd_per_million_input_tok=usd(line["usd_per_million_input_tok"], f"{place}: input", sentinel=False),
        usd_per_million_output_tok=usd(line["usd_per_million_output_tok"], f"{place}: output", sentinel=False),
        as_of=date.fromisoformat(line["as_of"]), as_of_kind=_kind(line),
    )


def _kind(line: Mapping[str, str]) -> AsOf:
    return next(kind for kind in get_args(AsOf) if kind == line["as_of_kind"])


def _optional(text: str) -> float | None:
    return float(text) if text else None
