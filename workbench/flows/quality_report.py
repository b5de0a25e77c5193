"""Quality against memory, speed and money: a page of Pareto charts, a table, and sentences to decide from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.errors import UsageError
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.flows.quality_join import Cell, all_tasks, compare, joined, row_of
from workbench.flows.quality_report_charts import paretos
from workbench.flows.quality_report_tables import Compared, decision, distances_of, sentence
from workbench.flows.quality_speed import Speed, speeds
from workbench.flows.sweeps.report import Rendered
from workbench.quality.table import QualityRow
from workbench.stats.intervals import Interval
from workbench.stats.verdict import Verdict

KIND, SCHEMA = "workbench.quality-report", 1


def report(
    quality: Sequence[Path], distances: Sequence[Path], speed_paths: Sequence[Path], *, base: str = "F16",
    load: str | None = None, usd_per_hour: float | None = None, title: str = "",
) -> tuple[Rendered, tuple[QualityRow, ...]]:
    """The page, and the rows of the table that `--table` writes."""
    known = speeds(speed_paths)
    loads = list(dict.fromkeys(one.load for one in known))
    if load is not None and load not in loads:
        raise UsageError(f"--load {load!r}: not measured; there are {', '.join(loads) or 'no speeds'}")
    chosen = [one for one in known if one.load == (load or (loads[0] if loads else ""))]
    found = joined(quality, distances, chosen)
    first = _base(found, base)
    rest = sorted((cell for cell in found if cell is not first), key=_size)
    compared = _compared(first, [first, *rest], usd_per_hour)
    rows = tuple(one.row for one in compared)
    sentences = [sentence(one, compared[0]) for one in compared[1:]]
    shown: list[Chart | Table] = [decision(compared), *paretos(rows), distances_of(rows)]
    lines = [_measured(first, rows), *sentences, *_beware(compared), *_not_whole(compared), *_beside(compared),
             *_missing(rows, known)]
    data = {"kind": KIND, "schema": SCHEMA, "base": first.label, "sentences": sentences,
            "rows": [{"label": row.label, **row.words, **row.values} for row in rows]}
    about = _about(first, [one.cell for one in compared], load or (loads[0] if loads else ""))
    name = title or f"Quality of {first.model}"
    return Rendered(name, tuple(lines), tuple(shown), about, data, _results(rows)), rows


def _about(base: Cell, cells: Sequence[Cell], load: str) -> dict[str, Any]:
    """Where the numbers come from: what ran, on what, when."""
    runs = [cell.log.provenance for cell in cells if cell.log is not None]
    machines = sorted({run.machine.cpu for run in runs if run.machine is not None})
    days = sorted(run.started_at_utc for run in runs)
    return {
        "kind": "workbench.quality-provenance", "schema": 1, "name": "quality", "workbench": __version__,
        "base": base.label, "engines": "; ".join(sorted({f"{cell.engine} {cell.version}".strip() for cell in cells})),
        "machine": "; ".join(machines), "load": load,
        "weights_id": {cell.label: cell.weights_id for cell in cells},
        "first_at_utc": days[0] if days else None, "last_at_utc": days[-1] if days else None,
    }


def _results(rows: Sequence[QualityRow]) -> list[dict[str, Any]]:
    """Every figure with its interval, as in every report."""
    units = {"perplexity": "", "kl_mean": "nat", "top_1": "", "tok_per_s": "tok/s"}
    found: list[tuple[str, str, Interval]] = []
    for row in rows:
        found += [(f"{name} {row.label}", units[name], value) for name, value in row.figures.items()]
        found += [(f"{task} {row.label}", "", score.share) for task, score in row.tasks.items()]
    return [{"name": name, "value": value.mean, "unit": unit, "origin": "measured", "n": value.n, "low": value.low,
             "high": value.high} for name, unit, value in found]


def _base(found: Sequence[Cell], label: str) -> Cell:
    named = [cell for cell in found if cell.label == label]
    if not named:
        raise UsageError(f"--base {label!r}: no such row; there are {', '.join(cell.label for cell in found)}")
    return named[0]


def _size(cell: Cell) -> tuple[float, str]:
    """Large first; engines beside the quantisation that they serve."""
    return (-cell.size.bits_per_weight if cell.size is not None else 0.0, cell.label)


def _compared(base: Cell, cells: Sequence[Cell], usd_per_hour: float | None) -> list[Compared]:
    """Each beside the base and beside the next larger one; `family` counts every comparison that is made."""
    tasks = all_tasks(cells)
    before = {cell.label: _before(cells[1:i], cell) for i, cell in enumerate(cells)}
    sides = [other for cell in cells[1:] if cell.tasks for other in (base, before[cell.label]) if other is not None]
    family = len(tasks) * len(sides)
    found = []
    for cell in cells:
        larger = before[cell.label]
        to_base = _verdicts(base, cell, tasks, family) if cell is not base else {}
        to_next = _verdicts(larger, cell, tasks, family) if larger is not None else {}
        found.append(Compared(cell, row_of(base, cell, usd_per_hour), to_base, to_next))
    return found


def _before(cells: Sequence[Cell], cell: Cell) -> Cell | None:
    """The last one with answers by the same engine with the same KV type."""
    return next((one for one in reversed(cells) if one.tasks and (one.engine, one.kv_type) == (
        cell.engine, cell.kv_type)), None)


def _verdicts(one: Cell, other: Cell, tasks: Sequence[str], family: int) -> dict[str, Verdict]:
    return {task: said for task in tasks if (said := compare(one, other, task, family)) is not None}


def _measured(base: Cell, rows: Sequence[QualityRow]) -> str:
    about = base.log.provenance if base.log is not None else None
    machine = f" on {about.machine.cpu}" if about is not None and about.machine is not None else ""
    return f"{len(rows)} rows, measured{machine}; the base is {base.label} ({base.engine} {base.version})."


def _beware(compared: Sequence[Compared]) -> list[str]:
    return [f"{one.row.label}: {text}." for one in compared for text in one.cell.beware]


def _not_whole(compared: Sequence[Compared]) -> list[str]:
    """Items without an answer, and prompts that were cut."""
    lines = []
    for one in compared:
        rows = one.cell.log.rows if one.cell.log is not None else ()
        failed, cut = sum(row.outcome != "ok" for row in rows), sum(row.truncated for row in rows)
        if failed:
            lines.append(f"{one.row.label}: {failed} of {len(rows)} answers failed; they count in no score.")
        if cut:
            lines.append(f"{one.row.label}: {cut} of {len(rows)} prompts did not fit and lost their beginning.")
    return lines


def _beside(compared: Sequence[Compared]) -> list[str]:
    """What else ran while speeds were taken."""
    timed = [one.cell.speed for one in compared if one.cell.speed is not None]
    fracs = [frac for speed in timed for frac in speed.beside_frac]
    if not fracs:
        return []
    runs = sum(len(speed.runs) for speed in timed)
    span = " to ".join(dict.fromkeys((f"{min(fracs):.0%}", f"{max(fracs):.0%}")))
    return [f"Beside {len(fracs)} of {runs} timed runs other programs kept {span} of the machine's cores busy: on an "
            "idle machine speeds are higher, and their intervals narrower."]


def _missing(rows: Sequence[QualityRow], known: Sequence[Speed]) -> list[str]:
    if not known:
        return ["No speed was given (`--speed`), so nothing is said of tokens per second and money."]
    without = [row.label for row in rows if "tok_per_s" not in row.figures]
    return [f"No speed of the same weights and engine: {', '.join(without)}."] if without else []
