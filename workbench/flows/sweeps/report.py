"""A finished (or stopped) sweep as charts and tables: curves, what money buys, memory, power, and a matrix of engines.

Everything comes from the points' rows. Repeats of a point become a mean with its t interval; what is not known is left
out and said, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.errors import UsageError
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.flows.sweeps import report_charts as charts
from workbench.flows.sweeps.environment import machines
from workbench.flows.sweeps.report_cells import Cell, cells, metric_of, names
from workbench.flows.sweeps.report_tables import failed, matrix, ranked, settings, told_apart, warned
from workbench.flows.sweeps.store import Row, read_rows
from workbench.metrics import METRICS


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a page shows."""

    title: str
    lines: tuple[str, ...]
    shown: tuple[Chart | Table, ...]
    about: dict[str, Any]
    data: dict[str, Any]
    results: list[dict[str, Any]]  # as in every report: name, value, unit, origin, n, low, high


def report(folder: Path) -> Rendered:
    """Raises UsageError where there is no sweep, or no point in it yet."""
    rows = read_rows(folder)
    if not rows:
        raise UsageError(f"{folder}: no point is finished yet; `workbench sweep run` measures them")
    found = cells(rows)
    front = pareto([(cell.mean("tpot_s"), cell.mean("usd_per_million_output_tok")) for cell in found])
    shown: list[Chart | Table] = [matrix(found)]
    for workload in dict.fromkeys(cell.workload for cell in found):
        shown += charts.of_workload([cell for cell in found if cell.workload == workload], workload)
    money = charts.money(found, front)
    shown += [item for item in (
        money, charts.memory(found), charts.power(found), ranked(found), told_apart(found), failed(rows), warned(found),
        settings(found),
    ) if item is not None]
    data = {"kind": "workbench.sweep-report", "schema": 1, "points": len(rows), "ok": len(found),
            "pareto": [_named(found[i]) for i in front]}
    return Rendered(f"Sweep {folder.name.removeprefix('sweep-')}", tuple(_lines(rows, found, money is not None)),
                    tuple(shown), _about(folder, rows), data, _results(found))


def _about(folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """Where the numbers come from: what ran, on what, when."""
    prints = [row["fingerprint"] for row in rows]
    versions = {f"{row['asked']['setting']['engine']} {mark.get('engine_version') or ''}".strip()
                for row, mark in zip(rows, prints, strict=True)}
    days = sorted(row["started_at_utc"] for row in rows)
    return {
        "kind": "workbench.sweep-provenance", "schema": 1, "name": folder.name.removeprefix("sweep-"),
        "workbench": __version__, "points": len(rows), "settings": len({row["setting_key"] for row in rows}),
        "engines": "; ".join(sorted(versions)), "machine": "; ".join(sorted(set(machines(folder).values()))),
        "client": "; ".join(sorted({str(mark["client"]) for mark in prints if mark.get("client")})),
        "weights_id": {f"{mark['model']} {mark['quant']}": mark["weights_id"] for mark in prints
                       if mark.get("weights_id")},
        "first_at_utc": days[0], "last_at_utc": days[-1],
        "beside": "Figures of every point: `workbench sweep export`; a point's command: `workbench sweep show`.",
    }


def _results(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """Every point's latency and throughput, with its interval over repeats."""
    called, told = names(found), []
    for cell in found:
        load = f"{cell.load:g}/s" if cell.open_loop else f"c{cell.load:g}"
        for metric in ("ttft_s", "tpot_s", "output_tok_per_s"):
            value = cell.interval(metric)
            if value is not None:
                told.append({
                    "name": f"{metric} {called[cell.key]} {cell.workload} {load}", "value": value.mean,
                    "unit": METRICS[metric].unit, "origin": "measured", "n": value.n,
                    "low": value.low if value.n > 1 else None, "high": value.high if value.n > 1 else None,
                })
    return told


def pareto(points: Sequence[tuple[float | None, float | None]]) -> list[int]:
    """Indices of points that no other beats in both (less is better, ties kept once), by the first coordinate."""
    known = sorted((x, y, i) for i, (x, y) in enumerate(points) if x is not None and y is not None)
    front: list[int] = []
    best = float("inf")
    for _, y, i in known:
        if y < best:
            front.append(i)
            best = y
    return front


def _named(cell: Cell) -> dict[str, Any]:
    return {"setting": cell.label, "workload": cell.workload, "load": cell.load, "open_loop": cell.open_loop,
            "tpot_s": cell.mean("tpot_s"), "usd_per_million_output_tok": cell.mean("usd_per_million_output_tok")}


def _lines(rows: Sequence[Row], found: Sequence[Cell], priced: bool) -> list[str]:
    bad = sum(row["status"] != "ok" for row in rows)
    lines = [f"{len(rows)} points of {len({row['setting_key'] for row in rows})} settings: {len(rows) - bad} good"
             + (f", {bad} failed (last table)." if bad else ".")]
    machines = dict.fromkeys(str(row["fingerprint"].get("gpu") or row["fingerprint"].get("cpu") or "") for row in rows)
    lines.append("Measured on " + "; ".join(name for name in machines if name) + "." if any(machines) else "")
    if not priced:
        lines.append("No price was given (`--usd-per-hour`), so nothing is said of money.")
    if not any(metric_of(row, "power_mean_w") is not None for row in rows):
        why = dict.fromkeys(text for row in rows for text in (row.get("telemetry") or {}).get("power_why_not") or ())
        lines.append("Power is not known" + (f": {'; '.join(why)}." if why else "."))
    if len(found) and all(len(cell.rows) == 1 for cell in found):
        lines.append("Each point was measured once: differences between settings carry no interval.")
    return [line for line in lines if line]
