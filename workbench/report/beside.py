"""A report of two reports: the same notebook run twice, numbers and figures side by side on one page."""

from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.figures import escape
from workbench.figures.table import Table, number, percent
from workbench.files import read_json, write_text
from workbench.report import export, kept
from workbench.report.style import DRAW


def table(a: Path, b: Path) -> Table:
    rows = tuple(
        (str(row["name"]), _value(row["a"]), _value(row["b"]), str(row["unit"]),
         "" if row["change_frac"] is None else percent(row["change_frac"]),
         {True: "yes", False: "no", None: ""}[row["apart"]], str(row["origin"]))
        for row in kept.difference(a, b)
    )
    return Table(("name", "A", "B", "unit", "B against A", "intervals apart", "origin"), rows,
                 f"A: {a.name}. B: {b.name}. Parameters that are equal in both are left out.")


def write(a: Path, b: Path, path: Path) -> Path:
    """The page. Raises UsageError for runs of different notebooks."""
    first, second = (read_json(run / "provenance.json") for run in (a, b))
    if first["name"] != second["name"]:
        raise UsageError(f"{a.name} is of {first['name']!r}, {b.name} of {second['name']!r}; compare runs of one")
    title = f"{first['name']}: two runs side by side"
    body = (f"<h1>{escape.html(title)}</h1><div class=\"wide\">{table(a, b).as_html()}</div>"
            + "".join(_pair(one, other) for one, other in _figures(a, b)))
    write_text(path, export.shell(title, body, [export.plotly_source(), DRAW]))
    return path


def _figures(a: Path, b: Path) -> list[tuple[str, str]]:
    """The HTML of figures of the same name, in the order of A."""
    drawn: list[dict[str, Any]] = [
        {chart.name: chart for chart in export.charts_in(read_json(run / "notebook.ipynb"))} for run in (a, b)
    ]
    return [(export.figure(drawn[0][name], "A"), export.figure(drawn[1][name], "B"))
            for name in drawn[0] if name in drawn[1]]


def _pair(one: str, other: str) -> str:
    return f'<div class="pair"><div><h3>A</h3>{one}</div><div><h3>B</h3>{other}</div></div>'


def _value(value: Any) -> str:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return number(float(value), 4)
    return "" if value is None else str(value)
