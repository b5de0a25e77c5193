"""Every notebook of the book, run small in this process: it answers, figures say what they show, nothing is typed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from workbench.economics.claims.register import register
from workbench.figures import chart as charts
from workbench.figures.chart import Chart
from workbench.report import export, library, results, runner

BOOK = [item.name for item in library.every() if item.chapter]
# a digit and then what makes it a result: a unit, a percent sign, a currency, a factor
RESULT = re.compile(r"\d\s*(?:%|ms\b|s\b|USD|\$|€|GB\b|GiB\b|MB\b|tokens?\b|requests?\b|times\b|x\b|W\b|kWh\b)")
AXIS = re.compile(r"\(.+\)|share|index|fraction|number|per |of |requests|tokens|count", re.IGNORECASE)


def sources(name: str) -> list[str]:
    return [cell.source for cell in library.build(library.source(name)).cells if cell.cell_type == "markdown"]


@pytest.fixture(scope="module", params=BOOK)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> runner.ReportRun:
    out = tmp_path_factory.mktemp("book")
    return runner.run(request.param, {"quick": True}, inputs=None, out=out, fast=True)


def shown(run: runner.ReportRun) -> Any:
    return json.loads((run.folder / "notebook.ipynb").read_text(encoding="utf-8"))


def test_committed_notebooks_are_what_their_sources_give() -> None:
    assert library.outdated() == [], "run `workbench chapters build`"
    for name in library.names():
        cells = json.loads(library.built(name).read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells)


@pytest.mark.parametrize("name", library.names())
def test_a_notebook_is_thin_and_types_no_result(name: str) -> None:
    code = [cell.source for cell in library.build(library.source(name)).cells if cell.cell_type == "code"]
    assert not re.search(r"^\s*(def|class|for|while|if|with)\b", "\n".join(code), re.MULTILINE)
    for text in sources(name):
        assert not RESULT.search(text), text


def test_a_typed_result_would_be_found() -> None:
    for text in ("it took 3 ms", "12 % better", "costs $ 3 or 4 USD", "2.5x faster"):
        assert RESULT.search(text)


@pytest.mark.parametrize("name", BOOK)
def test_a_chapter_has_all_its_parts(name: str) -> None:
    about, text = library.about(name), "\n".join(sources(name))
    assert about.readers
    assert about.basis
    assert about.modes
    assert text.startswith("# ")
    assert "?" in text.splitlines()[0], "the heading is the question"
    assert "## Change this and see" in text
    assert "## What this does not show" in text
    notebook = library.build(library.source(name))
    known = library.parameters(notebook)
    assert known["quick"]["inferred_type_name"] == "bool"
    assert all(item["inferred_type_name"] != "None" for item in known.values()), "annotate the parameters"


def test_every_figure_of_the_register_stands_in_a_notebook() -> None:
    assert {one for name in BOOK for one in library.about(name).claims} == {claim.id for claim in register()}
    for name in BOOK:
        code = [cell.source for cell in library.build(library.source(name)).cells if cell.cell_type == "code"]
        assert ("claim_table(" in "\n".join(code)) == bool(library.about(name).claims), name


def test_it_answers_with_numbers(ran: runner.ReportRun) -> None:
    last = [cell for cell in shown(ran)["cells"] if cell["cell_type"] == "code"][-1]
    said = "".join(export.joined(output["data"].get("text/markdown", "")) for output in last["outputs"])
    assert re.search(r"\d", said)
    assert ran.results
    for item in ran.results:
        assert item["origin"] in ("measured", "simulated", "imported", "vendor", "roofline", "derived")
    assert any(item["n"] for item in ran.results) or all(item["origin"] != "simulated" for item in ran.results)


def test_every_figure_says_what_it_shows(ran: runner.ReportRun) -> None:
    found = export.charts_in(shown(ran))
    assert found
    assert len({chart.name for chart in found}) == len(found)
    for chart in found:
        check(chart)


def check(chart: Chart) -> None:
    assert len(chart.alt) > 40
    assert "Origin: " in chart.full_caption
    assert re.search(r"\bn = |source|Source|seed", chart.basis), chart.basis
    for axis in [panel.y_axis for panel in chart.panels] + ([] if chart.categories else [chart.x_axis]):
        assert AXIS.search(axis), f"{chart.name}: {axis!r} has no unit"


def test_nothing_was_printed_and_no_path_is_shown(ran: runner.ReportRun) -> None:
    outputs = list(results.outputs(shown(ran)))
    assert not [output for output in outputs if output["output_type"] == "stream"]
    written = (ran.folder / "notebook.ipynb").read_text(encoding="utf-8")
    assert str(Path(charts.__file__).parents[2]) not in written
    assert str(ran.folder.parent) not in written
