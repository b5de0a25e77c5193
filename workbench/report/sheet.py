"""One page of text, charts and tables without a notebook, under the same policy as a report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workbench.figures import chart as charts
from workbench.figures import table as tables
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.report.export import page


def sheet(title: str, lines: Sequence[str], shown: Sequence[Chart | Table], about: Mapping[str, Any]) -> str:
    """HTML: the title, what is to be known in `lines`, then charts and tables, then `about` as provenance."""
    return page(as_notebook(title, lines, shown), about)


def as_notebook(title: str, lines: Sequence[str], shown: Sequence[Chart | Table]) -> dict[str, Any]:
    """The same as the cells of an executed notebook: what exporters take."""
    outputs = [{"output_type": "display_data", "data": _data(item)} for item in shown]
    text = "# " + " ".join(title.split()) + "\n\n" + "\n\n".join(" ".join(line.split()) for line in lines)
    return {"cells": [
        {"cell_type": "markdown", "source": text}, {"cell_type": "code", "source": "", "outputs": outputs},
    ]}


def _data(item: Chart | Table) -> dict[str, Any]:
    return {charts.MIME: item.as_dict()} if isinstance(item, Chart) else {tables.MIME: asdict(item)}
