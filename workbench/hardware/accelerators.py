"""Accelerators: memory, bandwidth, arithmetic and links as their makers publish them (datasets/hardware)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from workbench.errors import UsageError
from workbench.hardware.table import Line, lines, lookup, plain
from workbench.paths import datasets

Kind = Literal["gpu", "amd", "tpu", "apple", "cpu"]
Dtype = Literal["bf16", "fp8", "int8", "fp4"]
Basis = Literal["vendor", "derived"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One chip or card. Rates are peaks per second: dense arithmetic, one direction of the link to all peers."""

    name: str
    kind: Kind
    memory_gib: float
    visible_gib: float  # what a program is offered of it
    memory_bytes_per_s: float
    flops_per_s: Mapping[Dtype, float]  # only formats with units of their own
    link: str  # "" where there is none
    link_bytes_per_s: float | None
    tdp_w: float | None
    flops_basis: Basis
    as_of: date
    source: str

    @property
    def memory_bytes(self) -> int:
        """What a program is offered."""
        return round(self.visible_gib * GIB)

    def flops(self, dtype: Dtype) -> float:
        """Peak rate in `dtype`; a format without units of its own is computed in bf16 (weights are widened first)."""
        return self.flops_per_s.get(dtype, self.flops_per_s["bf16"])

    def link_rate(self) -> float:
        """Bytes per second to its peers, or one line that there are none."""
        if self.link_bytes_per_s is None:
            raise UsageError(f"{self.name}: no link to a second one is known, so it works alone; use --tp 1")
        return self.link_bytes_per_s


def find(name: str) -> Accelerator:
    """By name or alias (`h100_sxm`, `RTX 4090`, `NVIDIA L40S`), whatever the case and punctuation."""
    table, aliases = _shipped()
    return lookup(table, aliases, name, "accelerator", "datasets/hardware/accelerators.csv lists them")


def names() -> tuple[str, ...]:
    return tuple(_shipped()[0])


def read(path: Path) -> tuple[dict[str, Accelerator], dict[str, str]]:
    """A table of this shape: accelerators by name, and names by plain alias. Doubles are refused."""
    table: dict[str, Accelerator] = {}
    aliases: dict[str, str] = {}
    for line in lines(path):
        found = _accelerator(line)
        table[found.name] = found
        for alias in {plain(word) for word in (found.name, *line.words("aliases"))}:
            if alias in aliases:
                raise line.error("name", f"or its alias {alias!r} is there twice; names and aliases are unique")
            aliases[alias] = found.name
    return table, aliases


@cache
def _shipped() -> tuple[dict[str, Accelerator], dict[str, str]]:
    return read(datasets() / "hardware" / "accelerators.csv")


def _accelerator(line: Line) -> Accelerator:
    memory_gib = line.positive("memory_gib")
    visible_gib = line.optional("visible_gib") or memory_gib
    if visible_gib > memory_gib:
        raise line.error("visible_gib", f"is more than memory_gib, {memory_gib:g}")
    flops: dict[Dtype, float] = {"bf16": line.positive("bf16_flops_per_s")}
    flops |= {name: rate for name in DTYPES if (rate := line.optional(f"{name}_flops_per_s")) is not None}
    if not line.text("source"):
        raise line.error("source", "is empty: every row says where it is from")
    kind, basis = line.one_of("kind", get_args(Kind)), line.one_of("flops_basis", get_args(Basis))
    link, link_rate = line.text("link"), line.optional("link_bytes_per_s")
    if bool(link) != (link_rate is not None):
        raise line.error("link", "and link_bytes_per_s go together: both or neither")
    return Accelerator(
        name=line.text("name"), kind=next(item for item in get_args(Kind) if item == kind), memory_gib=memory_gib,
        visible_gib=visible_gib, memory_bytes_per_s=line.positive("memory_bytes_per_s"), flops_per_s=flops,
        link=link, link_bytes_per_s=link_rate, tdp_w=line.optional("tdp_w"),
        flops_basis=next(item for item in get_args(Basis) if item == basis), as_of=_date(line),
        source=line.text("source"),
    )


def _date(line: Line) -> date:
    try:
        return date.fromisoformat(line.text("as_of"))
    except ValueError:
        raise line.error("as_of", "is no date; write YYYY-MM-DD") from None
