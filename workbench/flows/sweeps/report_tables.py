"""The tables of a sweep's report: engines side by side, who can be told apart, what failed, what to beware of."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from workbench.figures.table import Table, number
from workbench.flows.sweeps.ranking import by_case, pairs
from workbench.flows.sweeps.store import Row

if TYPE_CHECKING:
    from workbench.flows.sweeps.report import Cell

COMPARED = "output_tok_per_s"
WORDS = 160  # of a message


def matrix(found: Sequence["Cell"]) -> Table:
    """A row a setting and workload: alone (lowest load), and at its most throughput."""
    columns = ("setting", "workload", "points", "lowest load", "TTFT (ms)", "TPOT (ms)", "most tok/s", "at load",
               "TPOT there (ms)", "USD per M output tok", "J per output tok", "memory (GiB)")
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        groups.setdefault((cell.key, cell.workload), []).append(cell)
    rows = []
    for (_, workload), group in sorted(groups.items(), key=lambda item: (item[0][1], item[1][0].label)):
        low = min(group, key=lambda cell: cell.load)
        high = max(group, key=lambda cell: cell.mean(COMPARED) or 0.0)
        memory = [size for cell in group for name in ("gpu_bytes", "engine_rss_max_bytes")
                  if (size := cell.mean(name)) is not None]
        rows.append((
            low.label, workload, str(sum(len(cell.rows) for cell in group)), _load(low), _ends(low, "ttft_s", 1e3),
            _ends(low, "tpot_s", 1e3), _ends(high, COMPARED), _load(high), _ends(high, "tpot_s", 1e3),
            _ends(high, "usd_per_million_output_tok"), _ends(high, "j_per_output_tok"),
            number(max(memory) / 2**30 if memory else None),
        ))
    return Table(columns, tuple(rows), "Engines side by side. Measured; money is derived from the price given. Means, "
                 "± half of the 95 % interval where there are repeats. Memory: GPUs' where known, else the engine's "
                 "resident memory; the larger.")


def _load(cell: "Cell") -> str:
    return f"{cell.load:g}/s" if cell.open_loop else f"{cell.load:g} in flight"


def _ends(cell: "Cell", metric: str, scale: float = 1.0) -> str:
    found = cell.interval(metric)
    if found is None:
        return "n/a"
    half = f" ± {number((found.high - found.low) / 2 * scale)}" if found.n > 1 else ""
    return number(found.mean * scale) + half


def told_apart(rows: Sequence[Row]) -> Table | None:
    """Pairs of settings under the same workload and load, where repeats say which is better."""
    labels = {row["setting_key"]: row["label"] for row in rows}
    lines = []
    for (workload, load), runs in sorted(by_case(rows).items()):
        for pair in pairs(runs, COMPARED):
            if pair.difference is None or pair.low is None or pair.high is None:
                continue
            verdict = "not told apart" if pair.better is None else f"{labels[pair.better]} is faster"
            lines.append((f"{labels[pair.first]} and {labels[pair.second]}", workload, f"{load:g}",
                          number(pair.difference), f"{number(pair.low)} to {number(pair.high)}", verdict))
    if not lines:
        return None
    return Table(("settings", "workload", "load", "second - first (tok/s)", "95 % interval", "verdict"), tuple(lines),
                 "Differences of output tokens per second. Measured; intervals hold together within a workload and "
                 "load. Ranked only where the interval leaves out zero.")


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


def warned(rows: Iterable[Row]) -> Table | None:
    """Good points whose guards speak."""
    lines = [(row["id"], "; ".join((row.get("guards") or {}).get("warnings", ()))[: 2 * WORDS])
             for row in rows if row["status"] == "ok" and (row.get("guards") or {}).get("warnings")]
    return Table(("point", "beware"), tuple(lines), "Good points with a warning.") if lines else None
