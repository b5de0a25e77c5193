"""Appendix F: the calculators, each with its answer, as a curve, and live in JupyterLab."""

from typing import Any

import numpy as np

from workbench.chapters.about import chosen
from workbench.economics.calculators import CALCULATORS
from workbench.economics.calculators.declare import Calculator
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

POINTS, QUICK_POINTS = 60, 15


def pick(name: str) -> Calculator:
    """Raises UsageError, with the nearest name."""
    wanted = chosen("calculator", name, tuple(item.name for item in CALCULATORS))[0]
    return next(item for item in CALCULATORS if item.name == wanted)


def overview() -> Table:
    rows = tuple((item.name, item.question, "; ".join(_said(item, output.name) for output in item.outputs))
                 for item in CALCULATORS)
    return Table(("calculator", "question", "answer with the defaults"), rows,
                 "Derived: plain functions of their inputs; `workbench calculators NAME` shows inputs and sources.")


def inputs_table(item: Calculator) -> Table:
    rows = tuple((one.label, one.unit or "number", number(one.default, 4), number(one.low), number(one.high))
                 for one in item.inputs)
    return Table(("input", "unit", "default", "from", "to"), rows, f"{item.title}: {item.question}")


def curve(item: Calculator, over: str, quick: bool) -> Chart:
    """Every output over one input, the others at their defaults. Raises UsageError."""
    one = next(one for one in item.inputs
               if one.name == chosen("over", over or item.inputs[0].name, tuple(each.name for each in item.inputs))[0])
    low, high = max(one.low, one.default / 5), min(one.high, one.default * 5) or one.high
    grid = np.unique(np.linspace(low, high, QUICK_POINTS if quick else POINTS).round(0 if one.whole else 9))
    found = [item(**{one.name: float(x)}) for x in grid]
    panels = tuple(
        Panel(f"{output.label} ({output.unit or 'number'})", (Series(
            output.label, tuple(map(float, grid)), tuple(_known(row[output.name]) for row in found), "derived", "line",
            i),)) for i, output in enumerate(item.outputs[:3]))
    return Chart(
        "curve", f"{one.label} ({one.unit or 'number'})", panels, f"{item.title}: its answers over one input, the "
        "others at their defaults.", f"n = {len(grid)} points; source: {item.source}",
        f"Panels over {one.label}: each shows one answer of the calculator {item.title}.")


def live(item: Calculator, on: bool) -> Any:
    """Sliders in JupyterLab; elsewhere a sentence that says how."""
    if not on:
        return Prose("Set `live` in JupyterLab for sliders; `workbench calculators --page FILE` writes a page that "
                     "works without Python.")
    import ipywidgets

    sliders = {one.name: _slider(ipywidgets, one) for one in item.inputs}

    def show(**given: float) -> None:
        from IPython.display import display

        found = item(**given)
        display(Table(("answer", "value", "unit"), tuple(  # type: ignore[no-untyped-call]
            (output.label, number(_known(found[output.name]), 4), output.unit) for output in item.outputs)))

    return ipywidgets.interactive(show, **sliders)


def numbers() -> Results:
    return Results(tuple(Result(f"{item.name}_{output.name}", _known(item()[output.name]), output.unit, "derived")
                         for item in CALCULATORS for output in item.outputs))


def answer(item: Calculator) -> Prose:
    said = "; ".join(_said(item, output.name) for output in item.outputs)
    return Prose(f"**{item.title}**. {item.question} With the defaults: {said}. A formula has no interval; where one "
                 "is simulated beside it, the page on costs says by how much they differ.")


def _slider(widgets: Any, one: Any) -> Any:
    kind = widgets.IntSlider if one.whole else widgets.FloatLogSlider if one.low > 0 else widgets.FloatSlider
    ends = (np.log10(one.low), np.log10(one.high)) if kind is widgets.FloatLogSlider else (one.low, one.high)
    value = int(one.default) if one.whole else one.default
    return kind(value=value, min=int(ends[0]) if one.whole else ends[0], max=int(ends[1]) if one.whole else ends[1],
                description=f"{one.label} ({one.unit})" if one.unit else one.label)


def _said(item: Calculator, name: str) -> str:
    output = next(one for one in item.outputs if one.name == name)
    return f"{output.label} {number(_known(item()[name]), 4)} {output.unit}".rstrip()


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
