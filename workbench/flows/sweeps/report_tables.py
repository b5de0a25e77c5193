"""The tables of a sweep's report: engines side by side, who can be told apart, what failed, what to beware of."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from workbench.figures.table import Table, number
from workbench.flows.sweeps.ranking import Pair, by_case, pairs
from workbench.flows.sweeps.report_cells import Cell, by_setting, names
from workbench.flows.sweeps.store import Row

COMPARED = "output_tok_per_s"
WORDS = 160  # of a message
MOST_PAIRS = 40  # more lines than these nobody reads: the order says it


def matrix(found: Sequence[Cell]) -> Table:
    """A row a setting and workload: alone (lowest load), and at its most throughput."""
    columns = ("setting", "workload", "points", "lowest load", "TTFT (ms)", "TPOT (ms)", "most tok/s", "at load",
               "TPOT there (ms)", "USD per M output tok", "J per output tok", "memory (GiB)")
    called = names(found)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        groups.setdefault((cell.key, cell.workload), []).append(cell)
    rows = []
    for (key, workload), group in groups.items():
        low = min(group, key=lambda cell: cell.load)
        high = max(group, key=lambda cell: cell.mean(COMPARED) or 0.0)
        memory = [size for cell in group for name in ("gpu_bytes", "engine_bytes")
                  if (size := cell.mean(name)) is not None]
        rows.append((
            called[key], workload, str(sum(len(cell.rows) for cell in group)), _load(low), _ends(low, "ttft_s", 1e3),
            _ends(low, "tpot_s", 1e3), _ends(high, COMPARED), _load(high), _ends(high, "tpot_s", 1e3),
            _ends(high, "usd_per_million_output_tok"), _ends(high, "j_per_output_tok"),
            number(max(memory) / 2**30 if memory else None),
        ))
    known = [i for i in range(len(columns)) if not rows or any(row[i] != "n/a" for row in rows)]
    return Table(tuple(columns[i] for i in known), tuple(tuple(row[i] for i in known) for row in rows),
                 "Engines side by side. Measured; money is derived from the price given. Means, "
                 "± half of the 95 % interval where there are repeats. Memory: the GPUs' or the engine's, the larger; "
                 "pages that its processes share count once where that is told.")


def _load(cell: Cell) -> str:
    return f"{cell.load:g}/s" if cell.open_loop else f"{cell.load:g} in flight"


def _ends(cell: Cell, metric: str, scale: float = 1.0) -> str:
    found = cell.interval(metric)
    if found is None:
        return "n/a"
    half = f" ± {number((found.high - found.low) / 2 * scale)}" if found.n > 1 else ""
    return number(found.mean * scale) + half


def told_apart(found: Sequence[Cell]) -> Table | None:
    """Pairs of settings under the same workload and load, where repeats say which is better; None where there are too
    many to read."""
    lines = []
    for workload, load, called, told in _cases(found):
        for pair in told:
            if pair.difference is None or pair.low is None or pair.high is None:
                continue
            verdict = "not told apart" if pair.better is None else f"{called[pair.better]} is faster"
            lines.append((f"{called[pair.first]} and {called[pair.second]}", workload, f"{load:g}",
                          number(pair.difference), f"{number(pair.low)} to {number(pair.high)}", verdict))
    if not lines or len(lines) > MOST_PAIRS:
        return None
    return Table(("settings", "workload", "load", "second - first (tok/s)", "95 % interval", "verdict"), tuple(lines),
                 "Differences of output tokens per second. Measured; intervals hold together within a workload and "
                 "load. Ranked only where the interval leaves out zero.")


def ranked(found: Sequence[Cell]) -> Table | None:
    """Each case's settings, fastest first, and whether each is told apart from the next."""
    lines = []
    for workload, load, called, told in _cases(found):
        means = {cell.key: mean for cell in found if (cell.workload, cell.load) == (workload, load)
                 and (mean := cell.mean(COMPARED)) is not None}
        order = sorted(means, key=lambda key: (-means[key], called[key]))
        apart = {frozenset((pair.first, pair.second)): pair.better is not None for pair in told
                 if pair.difference is not None}
        if len(order) < 2 or not apart:
            continue
        text = f"{called[order[0]]} {number(means[order[0]])}"
        for before, key in pairwise(order):
            text += f" {_SIGNS[apart.get(frozenset((before, key)))]} {called[key]} {number(means[key])}"
        lines.append((workload, f"{load:g}", text))
    if not lines:
        return None
    return Table(("workload", "load", "output tokens per second, fastest first"), tuple(lines),
                 "Order of the settings. Measured; > told apart from the next (intervals of all differences of a line "
                 "hold together at 95 % and this one leaves out zero), ≈ not told apart, ? measured once.")


_SIGNS = {True: ">", False: "≈", None: "?"}


def _cases(found: Sequence[Cell]) -> list[tuple[str, float, dict[str, str], list[Pair]]]:
    """(workload, load, names of its settings, pairs)."""
    rows = [row for cell in found for row in cell.rows]
    return [(workload, load, names([cell for cell in found if cell.workload == workload]), pairs(runs, COMPARED))
            for (workload, load), runs in sorted(by_case(rows).items())]


def settings(found: Sequence[Cell]) -> Table | None:
    """What each short name stands for."""
    called = names(found)
    rows = tuple((called[key], group[0].label) for key, group in by_setting(found).items())
    if all(name == label for name, label in rows):
        return None
    return Table(("setting", "as it was asked for"), rows, "The settings in full.")


def failed(rows: Iterable[Row]) -> Table | None:
    """Labelled failures, with the engine's last line."""
    lines = []
    for row in rows:
        if row["failure"] is not None:
            said = row["failure"].get("log_tail") or ()
            last = str(said[-1]) if said else ""
            lines.append((row["id"], row["failure"]["kind"], str(row["failure"]["message"])[:WORDS], last[:WORDS]))
    return Table(("point", "kind", "what was seen", "last line of its log"), tuple(lines),
                 "Points that failed.") if lines else None


def warned(found: Sequence[Cell]) -> Table | None:
    """Good points whose guards speak: how many of a setting's say the same, and one of them in full."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cell in found:
        for row in cell.rows:
            for text in (row.get("guards") or {}).get("warnings", ()):
                kind = " ".join(re.sub(r"[-+]?\d[\d.,]*%?", "", text).split())
                groups.setdefault((cell.key, cell.workload, kind), []).append(text)
    called = names(found)
    counts = {(cell.key, cell.workload): 0 for cell in found}
    for cell in found:
        counts[cell.key, cell.workload] += len(cell.rows)
    lines = [(called[key], workload, f"{len(texts)} of {counts[key, workload]}", texts[0][: 2 * WORDS])
             for (key, workload, _), texts in groups.items()]
    return Table(("setting", "workload", "points", "beware, for example"), tuple(lines),
                 "Good points with a warning.") if lines else None
