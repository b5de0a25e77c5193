"""Charts as plotly figures, for notebooks and reports."""

import json
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures.chart import COLOURS, GREY, MARK_CHARS, MOST_MARKED, Chart, Panel, Series, drawn, folded
from workbench.figures.escape import label

HEIGHT_PX, SLANTED_PX, SLANTED_CHARS = 400, 100, 16  # a turned name of so many letters needs so much more height
ROW_CHARS = 110  # of a page's width
FEW_DECADES, MANY_DECADES = 0.8, 2.5  # of a logarithmic axis: below, numbers as they come; above, powers of ten
GAP_FRAC = 0.1  # between panels, of the figure: an upright label in two lines and its numbers
_SYMBOLS = {"measured": "circle", "simulated": "diamond-open"}


def plotly_json(chart: Chart) -> dict[str, Any]:
    """{data, layout} as plain JSON values."""
    found: dict[str, Any] = json.loads(_text(chart))
    return found


@lru_cache(maxsize=32)  # drawn twice: for the notebook's output and for the page
def _text(chart: Chart) -> str:
    return str(figure(chart).to_json())


def figure(chart: Chart) -> go.Figure:
    fig = make_subplots(rows=1, cols=len(chart.panels), horizontal_spacing=GAP_FRAC)
    turned, every = _turned(chart), [series for panel in chart.panels for series in panel.series]
    seen: set[str] = set()
    for column, panel in enumerate(chart.panels, start=1):
        _panel(fig, panel, column, seen)
        for at, text in chart.marks:
            upright = -90 if len(text) > MARK_CHARS else 0
            fig.add_vline(x=at, line={"color": GREY, "dash": "dot", "width": 1.5}, row=1, col=column, annotation={
                "text": label(text), "font": {"color": GREY, "size": 11}, "textangle": upright, "yanchor": "top",
                "xanchor": "right", **({"x": math.log10(at)} if chart.log_x else {})}, annotation_position="top left")
    fig.update_layout(
        template="plotly_white", height=HEIGHT_PX + SLANTED_PX * turned, font={"size": 13},
        margin={"l": 64, "r": 16, "t": 16, "b": 64},
        legend={"orientation": "h", "y": -0.3 - 0.3 * turned, "x": 0},
        hovermode="closest", barmode="group", bargap=0.5,
    )
    fig.update_xaxes(title_text=label(chart.x_axis), showline=True, linecolor=GREY, title_standoff=8,
                     **(_log(value for one in every for value in one.x) if chart.log_x else {}))
    if chart.categories:
        fig.update_layout(scattermode="group", scattergap=0.6)  # side by side; on a number line it would move them
        order = [label(name) for name in chart.categories]
        fig.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return fig


def _log(values: Iterable[float | str | None]) -> dict[str, Any]:
    """A logarithmic axis with few ticks: left alone, plotly writes every digit between two powers of ten."""
    known = [value for value in values if isinstance(value, float | int) and value > 0]
    decades = math.log10(max(known) / min(known)) if known else 0.0
    if decades < FEW_DECADES:
        return {"type": "log", "nticks": 5}
    return {"type": "log", "dtick": "D2" if decades <= MANY_DECADES else math.ceil(decades / 5)}


def _turned(chart: Chart) -> float:
    """How much room the categories' names take below: 0 where they stand side by side, 1 turned and long."""
    if len(chart.panels) * sum(len(name) + 2 for name in chart.categories) <= ROW_CHARS:
        return 0.0
    return min(1.0, max(map(len, chart.categories)) / SLANTED_CHARS)


def _panel(fig: go.Figure, panel: Panel, column: int, seen: set[str]) -> None:
    for series in panel.series:
        name = label(drawn(series))
        fig.add_trace(_trace(series, name, show=name not in seen), row=1, col=column)
        seen.add(name)
    if panel.level is not None:
        fig.add_hline(y=panel.level, line={"color": GREY, "dash": "dash", "width": 1.5}, row=1, col=column,
                      annotation={"text": label(panel.level_label), "font": {"color": GREY, "size": 12},
                                  **({"y": math.log10(panel.level)} if panel.log_y else {})},
                      annotation_position="top left")
    title = "<br>".join(map(label, folded(panel.y_axis)))
    scale = _log(value for one in panel.series for value in (*one.y, *one.low, *one.high)) if panel.log_y else {
        "rangemode": "tozero"}
    fig.update_yaxes(title_text=title, row=1, col=column, showline=True, linecolor=GREY, title_standoff=6, **scale)


def _trace(series: Series, name: str, *, show: bool) -> Any:
    colour = COLOURS[series.colour % len(COLOURS)]
    x = [label(value) if isinstance(value, str) else value for value in series.x]
    shared: dict[str, Any] = {"x": x, "y": list(series.y), "name": name, "legendgroup": name, "showlegend": show}
    if series.low:
        shared["error_y"] = _error(series.low, series.y, series.high, colour)
    if series.x_low:
        places = [value if isinstance(value, float | int) else None for value in series.x]
        shared["error_x"] = _error(series.x_low, places, series.x_high, colour)
    if series.kind == "bars":
        return go.Bar(**shared, marker={"color": colour})
    if series.kind == "steps":
        return go.Scatter(**shared, mode="lines", line={"color": colour, "width": 2, "shape": "hv"})
    marker = {"color": colour, "size": 9, "symbol": _SYMBOLS.get(series.origin, "square")}
    mode = ("lines+markers" if len(x) <= MOST_MARKED else "lines") if series.kind == "line" else "markers"
    shared |= {"offsetgroup": name} if series.kind == "points" else {}
    if series.labels:
        mode += "+text"
        shared |= {"text": [label(text) for text in series.labels], "textposition": "top right",
                   "textfont": {"size": 11, "color": GREY}}
    return go.Scatter(**shared, mode=mode, marker=marker, line={"color": colour, "width": 2})


def _error(low: Sequence[float | None], at: Sequence[float | None], high: Sequence[float | None], colour: str
           ) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.3, "width": 4,
        "array": [_gap(end, value) for end, value in zip(high, at, strict=True)],
        "arrayminus": [_gap(value, end) for end, value in zip(low, at, strict=True)],
    }


def _gap(above: float | None, below: float | None) -> float:
    return max(0.0, above - below) if above is not None and below is not None else 0.0
