"""Tables that several commands print."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.cli.common import escape


def number(value: float | None, unit: str) -> str:
    """A figure with its unit, scaled so that it reads well; n/a where it cannot be known."""
    if value is None:
        return "n/a"
    if unit == "s":
        return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.3g} {unit}".strip()


def summary_table(summary: Mapping[str, Any], provenance: Mapping[str, Any]) -> Any:
    """Metrics of one run log, with n and how the requests ended."""
    from rich.console import Group
    from rich.table import Table

    world = "measured" if summary["world"] == "real" else "simulated"
    per_request = Table(f"{world}", "mean", "p50", "p95", "p99", "n", box=None)
    per_run = Table(box=None, show_header=False)
    for name, item in summary["metrics"].items():
        if "value" in item:
            per_run.add_row(name, number(item["value"][world], item["unit"]))
        else:
            cells = [number(item[key][world], item["unit"]) for key in ("mean", "p50", "p95", "p99")]
            per_request.add_row(name, *cells, str(item["n"][world]))
    outcomes = ", ".join(f"{count} {name}" for name, count in summary["outcomes"].items() if count)
    what = escape(" ".join(filter(None, (provenance["engine"], provenance["model"], provenance["quant"]))))
    partial = "; partial: the run was cut off" if summary["partial"] else ""
    head = f"{what}: {summary['requests']} requests ({outcomes or 'none'}), {summary['warmup']} warm-up{partial}"
    return Group(head, per_request, per_run)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> Any:
    """Any rows; numbers are shortened, None is left empty."""
    from rich.table import Table

    table = Table(*(escape(name) for name in columns), box=None, caption=escape(caption) or None)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def page_text(drawn: Any, lines: Sequence[str]) -> Any:
    """A report's first table and what it says, for a terminal."""
    from rich.console import Group

    return Group(plain_table(drawn.columns, drawn.rows), "", *map(escape, lines))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
