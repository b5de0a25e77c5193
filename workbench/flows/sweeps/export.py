"""A sweep's figures as one CSV to be kept: a row a setting, workload and load, with the extremes of its repeats."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.flows.sweeps.environment import machines
from workbench.flows.sweeps.figures_row import FiguresRow
from workbench.flows.sweeps.guards import disturbed
from workbench.flows.sweeps.report_cells import Cell, cells, metric_of
from workbench.flows.sweeps.store import Row, read_rows

Spread = tuple[float, float, float]  # mean, smallest, largest
DIGITS = 6


def figures(folder: Path) -> list[FiguresRow]:
    """Good points only. Raises UsageError where there are none."""
    found = cells(read_rows(folder))
    if not found:
        raise UsageError(f"{folder}: no good point yet; `workbench sweep run` measures them")
    alone = {(cell.key, cell.workload): cell for cell in found if not cell.open_loop and cell.load == 1}
    loads: dict[str, list[float]] = {}
    for cell in found:
        known = [float(row["start_s"]) for row in cell.rows if row.get("start_s") is not None]
        loads.setdefault(cell.key, []).extend(known)
    where = machines(folder)
    return [_row(cell, alone.get((cell.key, cell.workload)), loads[cell.key], where) for cell in found]


def _row(cell: Cell, alone: Cell | None, loads_s: Sequence[float], where: dict[str, str]) -> FiguresRow:
    first, setting = cell.rows[0], cell.rows[0]["asked"]["setting"]
    options = dict(setting["options"])
    dtype = str(options.pop("dtype", ""))
    values: dict[str, Any] = {}
    for name in ("ttft_s", "tpot_s", "e2e_s", "output_tok_per_s"):
        values |= _spread_fields(name, spread([metric_of(row, name) for row in cell.rows]))
    values |= _spread_fields("cpu_s_per_output_tok", spread([cpu_s_per_tok(row) for row in cell.rows]))
    values |= _spread_fields("batching_gain", gain(cell, alone))
    memory = [size for row in cell.rows if (size := metric_of(row, "engine_pss_max_bytes"))]
    return FiguresRow(
        engine=setting["engine"], engine_version=first["fingerprint"]["engine_version"] or "", model=setting["model"],
        quant=first["fingerprint"].get("quant") or "", dtype=dtype,
        options=" ".join(f"{name}={value}" for name, value in sorted(options.items())), workload=cell.workload,
        concurrency=None if cell.open_loop else int(cell.load), rate_per_s=cell.load if cell.open_loop else None,
        prompt_tok=_per_request(cell.rows, "prompt_tok"), output_tok=_per_request(cell.rows, "output_tok"),
        requests=min(int(row["requests"]) for row in cell.rows), repeats=len(cell.rows),
        load_s=_round(sum(loads_s) / len(loads_s)) if loads_s else None, loads=len(loads_s),
        pss_bytes=int(max(memory)) if memory else None,
        client_limited=sum(bool((row.get("client") or {}).get("client_limited")) for row in cell.rows),
        disturbed=sum(disturbed(row) for row in cell.rows),
        machine="; ".join(dict.fromkeys(where.get(row.get("environment", ""), "") for row in cell.rows)),
        date=min(row["started_at_utc"] for row in cell.rows)[:10], **values,
    )


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean, smallest, largest; None where any repeat does not know it."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return sum(known) / len(known), min(known), max(known)


def gain(cell: Cell, alone: Cell | None) -> Spread | None:
    """Throughput over that of one request in flight; the ends pair one's worst repeat with the other's best."""
    if alone is None or cell.open_loop:
        return None
    if cell is alone:
        return 1.0, 1.0, 1.0
    here, base = (spread([metric_of(row, "output_tok_per_s") for row in item.rows]) for item in (cell, alone))
    if here is None or base is None or not base[1]:
        return None
    return here[0] / base[0], here[1] / base[2], here[2] / base[1]


def cpu_s_per_tok(row: Row) -> float | None:
    """Processor time between the first and the last sample, drawn out to the window: n samples have n - 1 gaps."""
    telemetry = row.get("telemetry") or {}
    used_s, samples, tokens = telemetry.get("engine_cpu_s"), telemetry.get("samples") or 0, row.get("output_tok")
    if used_s is None or samples < 2 or not tokens:
        return None
    return float(used_s) * samples / (samples - 1) / float(tokens)


def _per_request(rows: Sequence[Row], name: str) -> float | None:
    known = [row[name] / row["requests"] for row in rows if row.get(name)]
    return _round(sum(known) / len(known)) if len(known) == len(rows) else None


def _spread_fields(name: str, value: Spread | None) -> dict[str, float | None]:
    ends = (None, None, None) if value is None else value
    return {name + end: None if part is None else _round(part)
            for end, part in zip(("", "_low", "_high"), ends, strict=True)}


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
