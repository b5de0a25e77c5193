"""A page that needs no notebook, written out: HTML with its data and figures, and as a gallery example."""

from pathlib import Path

from workbench.figures.chart import Chart
from workbench.figures.static import render
from workbench.files import atomic, write_json, write_text
from workbench.flows.sweeps.report import Rendered
from workbench.report.gallery import place
from workbench.report.sheet import as_notebook, sheet


def write(found: Rendered, target: Path, gallery: Path | None) -> Path:
    """`target`/report.html, report.json and the figures; in `gallery` static pages to be committed. The page's path."""
    page = target / "report.html"
    write_text(page, sheet(found.title, found.lines, found.shown, found.about))
    write_json(target / "report.json", found.data)
    for chart in found.shown:
        if isinstance(chart, Chart):
            with atomic(target / f"{chart.name}.svg") as temporary:
                temporary.write_bytes(render(chart, "svg"))
    if gallery is not None:
        kept = {"results.json": found.results, "provenance.json": found.about}
        place(as_notebook(found.title, found.lines, found.shown), found.about, kept, found.title, gallery)
    return page
