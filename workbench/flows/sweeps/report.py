"""A finished (or stopped) sweep as charts and tables: curves, what money buys, memory, power, and a matrix of engines.

Everything comes from the points' rows. Repeats of a point become a mean with its t interval; what is not known is left
out and said, never 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import UsageError
from workbench.figures.chart import COLOURS, Chart, Panel, Series
from workbench.figures.table import Table
from workbench.flows.sweeps.report_tables import failed, matrix, told_apart, warned
from workbench.flows.sweeps.store import Row, read_rows
from workbench.stats.intervals import Interval, t_interval

MOST_SERIES = len(COLOURS)  # of one chart: more colours are not told apart
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting under one workload and load: its good runs."""

    key: str
    label: str
    workload: str
    load: float
    open_loop: bool
    rows: tuple[Row, ...]

    def interval(self, metric: str) -> Interval | None:
        """Over repeats; of a single run the value alone. None where any run cannot know it."""
        found = [metric_of(row, metric) for row in self.rows]
        known = [value for value in found if value is not None]
        if len(known) < len(found) or not known:
            return None
        if len(known) == 1:
            return Interval(known[0], known[0], known[0], 1)
        return t_interval(np.array(known, dtype=np.float64))

    def mean(self, metric: str) -> float | None:
        found = self.interval(metric)
        return None if found is None else found.mean


def metric_of(row: Row, name: str) -> float | None:
    """A metric, a figure of the row itself (cost, energy), or of its telemetry (`gpu_bytes`: of all its GPUs)."""
    telemetry = row.get("telemetry") or {}
    if name == "gpu_bytes":
        known = [gpu["memory_used_max_bytes"] for gpu in telemetry.get("gpus") or ()]
        return float(sum(known)) if known and None not in known else None
    for table in (row.get("metrics") or {}, row, telemetry):
        if table.get(name) is not None:
            return float(table[name])
    return None


def cells(rows: Iterable[Row]) -> list[Cell]:
    """Good rows, repeats together, in order of setting, workload and load."""
    found: dict[tuple[str, str, bool, float], list[Row]] = {}
    for row in rows:
        if row["status"] == "ok":
            asked = row["asked"]
            open_loop = asked["rate_per_s"] is not None
            load = float(asked["rate_per_s"] if open_loop else asked["concurrency"])
            found.setdefault((row["setting_key"], asked["workload"], open_loop, load), []).append(row)
    return [Cell(key, group[0]["label"], workload, load, open_loop, tuple(group))
            for (key, workload, open_loop, load), group in sorted(found.items())]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a page shows."""

    title: str
    lines: tuple[str, ...]
    shown: tuple[Chart | Table, ...]
    about: dict[str, Any]
    data: dict[str, Any]


def report(folder: Path) -> Rendered:
    """Raises UsageError where there is no sweep, or no point in it yet."""
    rows = read_rows(folder)
    if not rows:
        raise UsageError(f"{folder}: no point is finished yet; `workbench sweep run` measures them")
    found = cells(rows)
    front = pareto([(cell.mean("tpot_s"), cell.mean("usd_per_million_output_tok")) for cell in found])
    shown: list[Chart | Table] = [matrix(found)]
    for workload in dict.fromkeys(cell.workload for cell in found):
        mine = [cell for cell in found if cell.workload == workload]
        for number, group in enumerate(_groups(mine)):
            shown += _curves(group, workload, number)
    money = _money(found, front)
    shown += [money] if money is not None else []
    shown += [chart for chart in (_memory(found), _power(found)) if chart is not None]
    shown += [table for table in (told_apart(rows), failed(rows), warned(rows)) if table is not None]
    data = {"kind": "workbench.sweep-report", "schema": 1, "points": len(rows), "ok": len(found),
            "pareto": [_named(found[i]) for i in front]}
    return Rendered(f"Sweep {folder.name}", tuple(_lines(rows, found, money is not None)), tuple(shown),
                    {"name": "sweep", "points": len(rows), "settings": len({cell.key for cell in found})}, data)


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


def _groups(found: Sequence[Cell]) -> list[list[Cell]]:
    """Settings a chart can tell apart."""
    keys = list(dict.fromkeys(cell.key for cell in found))
    parts = [keys[i : i + MOST_SERIES] for i in range(0, len(keys), MOST_SERIES)]
    return [[cell for cell in found if cell.key in part] for part in parts]


def _by_setting(found: Sequence[Cell]) -> dict[str, list[Cell]]:
    by: dict[str, list[Cell]] = {}
    for cell in found:
        by.setdefault(cell.key, []).append(cell)
    return by


def _curves(found: Sequence[Cell], workload: str, number: int) -> list[Chart]:
    """Latency over throughput, a line a setting, its loads in order."""
    panels = []
    for metric, axis in (("ttft_s", "mean time to first token (ms)"), ("tpot_s", "mean time per output token (ms)")):
        series = [line for i, cells_of in enumerate(_by_setting(found).values())
                  if (line := _line(cells_of, "output_tok_per_s", metric, 1e3, i)) is not None]
        if series:
            panels.append(Panel(axis, tuple(series), log_y=metric == "ttft_s"))
    if not panels:
        return []
    loads = ", ".join(f"{load:g}" for load in sorted({cell.load for cell in found}))
    kind = "requests/s" if found[0].open_loop else "requests in flight"
    name = f"curves-{workload}" + (f"-{number + 1}" if number else "")
    return [Chart(
        name, "output tokens per second", tuple(panels),
        f"Latency over throughput, workload {workload}: each mark is one load ({loads} {kind}), joined in order of"
        " load; bars are 95 % intervals where there are repeats.", _basis(found),
        f"Lines of latency against throughput for {len(_by_setting(found))} settings under {workload}.",
    )]


def _line(found: Sequence[Cell], x: str, y: str, scale: float, colour: int, kind: Any = "line") -> Series | None:
    known = [(a, cell.interval(y)) for cell in found if (a := cell.mean(x)) is not None]
    points = [(a, b) for a, b in known if b is not None]
    if not points:
        return None
    several = any(b.n > 1 for _, b in points)
    low = tuple(max(0.0, b.low) * scale for _, b in points) if several else ()
    high = tuple(b.high * scale for _, b in points) if several else ()
    return Series(found[0].label, tuple(a for a, _ in points), tuple(b.mean * scale for _, b in points), "measured",
                  kind, colour, low, high)


def _money(found: Sequence[Cell], front: Sequence[int]) -> Chart | None:
    """None where no price was given."""
    series = []
    for i, group in enumerate(list(_by_setting(found).values())[: MOST_SERIES - 1]):
        points = [(tpot * 1e3, usd) for cell in group if (tpot := cell.mean("tpot_s")) is not None
                  and (usd := cell.mean("usd_per_million_output_tok")) is not None]
        if points:
            xs, ys = zip(*points, strict=True)
            series.append(Series(group[0].label, xs, ys, "derived", "points", i))
    if not series:
        return None
    best = [((found[i].mean("tpot_s") or 0.0) * 1e3, found[i].mean("usd_per_million_output_tok")) for i in front]
    series.append(Series("Pareto front", tuple(x for x, _ in best), tuple(y for _, y in best), "derived", "steps",
                         MOST_SERIES - 1))
    left_out = max(0, len(_by_setting(found)) - MOST_SERIES + 1)
    more = f" {left_out} more settings are in the front's reckoning and not drawn." if left_out else ""
    return Chart(
        "pareto", "mean time per output token (ms)",
        (Panel("USD per million output tokens", tuple(series), log_y=True),),
        "What a million output tokens costs against how fast they come. No setting beats one of the front in both."
        + more, _basis(found) + "; money is the given price times the measured window",
        f"{len(front)} points on the front of cost against time per token.",
    )


def _memory(found: Sequence[Cell]) -> Chart | None:
    """The most that was seen of each setting, over its points."""
    bars = []
    kinds = (("GPU memory", "gpu_bytes"), ("engine's resident memory", "engine_rss_max_bytes"))
    for colour, (name, metric) in enumerate(kinds):
        values = _most(found, metric)
        if any(value is not None for value in values.values()):
            ys = tuple(None if value is None else value / GIB for value in values.values())
            bars.append(Series(name, tuple(values), ys, "measured", "bars", colour))
    if not bars:
        return None
    return Chart("memory", "setting", (Panel("most memory seen (GiB)", tuple(bars)),),
                 "Memory: the highest sample of any point of each setting.", _basis(found),
                 f"Bars of memory for {len(_by_setting(found))} settings.", tuple(_most(found, "gpu_bytes")))


def _most(found: Sequence[Cell], metric: str) -> dict[str, float | None]:
    by: dict[str, float | None] = {}
    for group in _by_setting(found).values():
        known = [value for cell in group for row in cell.rows if (value := metric_of(row, metric)) is not None]
        label = group[0].label if group[0].label not in by else f"{group[0].label} {group[0].key[:4]}"
        by[label] = max(known, default=None)
    return by


def _power(found: Sequence[Cell]) -> Chart | None:
    """Only where telemetry vouches for it."""
    panels = []
    for metric, axis in (("power_mean_w", "mean GPU power (W)"), ("j_per_output_tok", "energy per output token (J)")):
        series = [line for i, group in enumerate(list(_by_setting(found).values())[:MOST_SERIES])
                  if (line := _line(group, "output_tok_per_s", metric, 1.0, i, "points")) is not None]
        panels += [Panel(axis, tuple(series))] if series else []
    if not panels:
        return None
    return Chart("power", "output tokens per second", tuple(panels),
                 "Power and energy of the window, of all GPUs together, where the readings cover it.", _basis(found),
                 "Power and energy per token against throughput.")


def _basis(found: Sequence[Cell]) -> str:
    runs = sum(len(cell.rows) for cell in found)
    return f"{runs} runs of the load generator against real engines, 1 to {max(len(c.rows) for c in found)} repeats"


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
