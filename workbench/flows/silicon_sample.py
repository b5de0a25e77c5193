"""The measured serving runs inside aiconfigurator-core: which rows can be used, and how far repeats differ."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import Failure, UsageError

NAME = "silicon_sample.csv"
LABELS = ("id", "silicon_data_source")  # what a row is called and where it comes from, not what it measured
MEASURED = ("silicon_ttft_ms", "silicon_tpot_ms")
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Workers:
    """Equal engines of one kind, with the requests that each of them (each data-parallel rank) holds."""

    count: int
    batch: int
    tp: int
    dp: int
    moe_ep: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One measured run in a closed loop. `prefill` is None where the same engines prefill and decode."""

    name: str
    engine: str
    version: str
    model: str
    gpu: str
    precision: str
    dense: str
    experts: str
    isl_tok: int
    osl_tok: int
    decode: Workers
    prefill: Workers | None
    ttft_s: float
    tpot_s: float

    @property
    def concurrency(self) -> int:
        """Of one data-parallel rank, or of the whole where prefill and decode are apart."""
        return self.decode.batch * (1 if self.prefill is None else self.decode.count * self.decode.dp)


@dataclass(frozen=True)
class Sample:
    """The usable cells, what was left out and why, and the spread of repeated configurations."""

    rows: int
    left_out: dict[str, int]
    cells: tuple[Cell, ...]
    noise: dict[str, dict[str, float | int]]


def read(path: Path) -> Sample:
    """Duplicates (labels apart) and rows without workers or batch are left out and counted. A corrupt row is a
    Failure that names file, line and value."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            raw = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{path.name}: cannot be read: {error}") from error
    if not raw or not {*LABELS, *MEASURED, "mode", "backend"} <= set(raw[0]):
        needed = ", ".join((*LABELS, *MEASURED))
        raise UsageError(f"{path.name}: not a silicon sample; it needs the columns {needed} ...")
    left_out: Counter[str] = Counter({"duplicate": 0, "no workers or batch": 0})
    seen: set[tuple[str, ...]] = set()
    kept: list[Row] = []
    cells = []
    for line, row in enumerate(raw, start=2):
        key = tuple(value for name, value in row.items() if name not in LABELS)
        if key in seen:
            left_out["duplicate"] += 1
            continue
        seen.add(key)
        try:
            cell = _cell(row)
        except (KeyError, TypeError, ValueError) as error:
            raise Failure(f"{path.name}: line {line}: {error}; take the file out of the package again") from error
        if cell is None:
            left_out["no workers or batch"] += 1
            continue
        kept.append(row)
        cells.append(cell)
    return Sample(len(raw), dict(left_out), tuple(cells), noise(kept))


def noise(rows: Iterable[Row]) -> dict[str, dict[str, float | int]]:
    """Spread of configurations that were measured more than once (equal in every column but labels and results):
    the mean distance from their own mean, below which no model can be judged, and the worst ratio."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(value for name, value in row.items() if name not in (*LABELS, *MEASURED))].append(row)
    repeated = [group for group in groups.values() if len(group) > 1]
    found: dict[str, dict[str, float | int]] = {}
    for name, column in (("ttft_s", "silicon_ttft_ms"), ("tpot_s", "silicon_tpot_ms")):
        values = [np.array([float(row[column]) for row in group]) for group in repeated]
        off = np.concatenate([np.abs(item / item.mean() - 1.0) for item in values]) if values else np.zeros(0)
        found[name] = {
            "configurations": len(values), "n": len(off), "mape_frac": float(off.mean()) if len(off) else 0.0,
            "worst_ratio": max((float(item.max() / item.min()) for item in values), default=1.0),
        }
    return found


def stratified(cells: Sequence[Cell], limit: int | None) -> list[Cell]:
    """At most `limit` cells, taken in turn from every engine, GPU and model, evenly over each."""
    if limit is None or limit >= len(cells):
        return list(cells)
    strata: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        strata[cell.engine, cell.gpu, cell.model].append(cell)
    turns = sorted(
        ((place + 0.5) / len(members) if len(members) > 1 else 0.0, stratum, place)
        for stratum, members in strata.items() for place in range(len(members))
    )
    firsts = [item for item in turns if item[2] == 0]
    rest = [item for item in turns if item[2] != 0]
    return [strata[stratum][place] for _, stratum, place in (firsts + rest)[:limit]]


def _cell(row: Row) -> Cell | None:
    """None where workers or batch are missing."""
    if row["mode"] == "agg":
        decode, prefill = _workers(row, "", 1), None
    else:
        decode, prefill = _workers(row, "decode_", None), _workers(row, "prefill_", None)
        if prefill is None:
            return None
    if decode is None:
        return None
    ttft_ms, tpot_ms = (float(row[name]) for name in MEASURED)
    if not (0 < ttft_ms < 1e9 and 0 < tpot_ms < 1e9):
        raise ValueError(f"TTFT {ttft_ms} ms, TPOT {tpot_ms} ms: both must be above 0")
    return Cell(
        name=row["id"], engine=row["backend"], version=row["backend_version"], model=row["model_path"],
        gpu=row["system"], precision=row["precision"], dense=row["gemm_quant_mode"], experts=row["moe_quant_mode"],
        isl_tok=int(row["isl"]), osl_tok=int(row["osl"]), decode=decode, prefill=prefill,
        ttft_s=ttft_ms / 1e3, tpot_s=tpot_ms / 1e3,
    )


def _workers(row: Row, kind: str, count: int | None) -> Workers | None:
    batch, number = _whole(row, f"{kind}batch_size"), count or _whole(row, f"{kind}num_workers")
    if not batch or not number:
        return None
    names = ("tp_size", "attention_dp_size", "moe_ep_size")
    tp, dp, ep = (_whole(row, f"{kind}{name}") or 1 for name in names)
    return Workers(number, batch, tp, dp, ep)


def _whole(row: Row, name: str) -> int | None:
    text = row[name]
    if not text:
        return None
    value = float(text)
    if value != int(value) or value < 0:
        raise ValueError(f"{name} is {text!r}; a whole number is expected")
    return int(value)
