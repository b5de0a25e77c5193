"""Charts as SVG or PNG through matplotlib: for the gallery, the README, and reports read without scripts."""

import io
from functools import lru_cache
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from workbench.figures.chart import COLOURS, GREY, MARK_CHARS, MOST_MARKED, Chart, Panel, Series, drawn, folded
from workbench.figures.escape import mathless

PANEL_IN = (4.2, 3.4)
LETTER_IN, HANDLE_IN = 0.085, 0.6  # of a legend's entry at this size: a letter's mean width, its mark and the gap
SHORT_AXIS = 300.0  # ends of a logarithmic axis, one over the other
LABEL_CHARS = 28  # a longer name would leave no room for the axes
LEGEND_CHARS = 52  # below the axes; the origin stands at the end
_MARKERS = {"measured": "o", "simulated": "D"}
_STYLE: Any = {
    "svg.hashsalt": "workbench", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": GREY, "axes.grid": True, "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
}


@lru_cache(maxsize=32)  # a report shows each chart twice: on its page and as a file
def render(chart: Chart, kind: Literal["svg", "png"] = "svg", dpi: int = 150) -> bytes:
    """The drawn chart; the same chart gives the same bytes."""
    out = io.BytesIO()
    with mpl.rc_context(_STYLE):
        fig = _laid_out(chart)
        if kind == "svg":
            about = {"Date": None, "Creator": None, "Title": chart.name}
            FigureCanvasSVG(fig).print_svg(out, metadata=about)  # type: ignore[no-untyped-call]
        else:
            fig.set_dpi(dpi)
            FigureCanvasAgg(fig).print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return out.getvalue()


@lru_cache(maxsize=8)  # the first chart of a report is its thumbnail, too
def _laid_out(chart: Chart) -> Figure:
    """The figure with every part in its place: `savefig` would find the places anew for each file."""
    fig = _figure(chart)
    FigureCanvasSVG(fig)
    engine = fig.get_layout_engine()
    if engine is not None:
        engine.execute(fig)
    fig.set_layout_engine("none")
    return fig


def _figure(chart: Chart) -> Figure:
    n = len(chart.panels)
    wide = PANEL_IN[0] * n + (1.5 if n == 1 else 0)
    fig = Figure(figsize=(wide, PANEL_IN[1] + 0.5), layout="constrained")
    for axes, panel in zip(fig.subplots(1, n, squeeze=False)[0], chart.panels, strict=True):
        _panel(axes, chart, panel)
    handles: dict[str, Any] = {}
    for axes in fig.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    longest = max((len(name) for name in handles), default=0)
    columns = max(1, min(4, len(handles), int(wide / (LETTER_IN * longest + HANDLE_IN))))
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False)
    return fig


def _panel(axes: Axes, chart: Chart, panel: Panel) -> None:
    places = {name: float(i) for i, name in enumerate(chart.categories)}
    bars = [series for series in panel.series if series.kind == "bars"]
    for series in panel.series:
        shift = _shift(series, bars, panel.series) if places else 0.0
        x = [places[str(value)] + shift if places else float(value) for value in series.x]
        _series(axes, series, x, drawn(series), width=0.8 / max(1, len(bars)))
    if places:
        crowded = len(places) > 4
        axes.set_xticks(list(places.values()), [_short(name) for name in places],
                        rotation=30 if crowded else 0, ha="right" if crowded else "center")
    if panel.level is not None:
        axes.axhline(panel.level, color=GREY, linestyle="--", linewidth=1.2)
        axes.annotate(mathless(panel.level_label), (0.01, panel.level), xycoords=("axes fraction", "data"), color=GREY,
                      xytext=(0, 3), textcoords="offset points", fontsize=8)
    for at, text in chart.marks:
        axes.axvline(at, color=GREY, linestyle=":", linewidth=1.2)
        axes.annotate(_short(text), (at, 1.0), xycoords=("data", "axes fraction"), color=GREY, va="top", ha="right",
                      rotation=90 if len(text) > MARK_CHARS else 0, xytext=(-1, 0), textcoords="offset points",
                      fontsize=7)
    axes.set_xlabel(mathless(chart.x_axis))
    axes.set_ylabel("\n".join(map(mathless, folded(panel.y_axis))))
    if chart.log_x:
        axes.set_xscale("log")
        _log_ticks(axes.xaxis, *axes.get_xlim())
    if panel.log_y:
        axes.set_yscale("log")
        _log_ticks(axes.yaxis, *axes.get_ylim())
    elif not any((value or 0) < 0 for series in panel.series for value in (*series.y, *series.low)):
        axes.set_ylim(bottom=0)


def _log_ticks(axis: Axis, low: float, high: float) -> None:
    """Plain numbers at 1, 2 and 5 where the axis is short; matplotlib would write 2 x 10^0 beside 3 x 10^0."""
    axis.set_minor_formatter(NullFormatter())
    if high < low * SHORT_AXIS:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _shift(series: Series, bars: list[Series], every: tuple[Series, ...]) -> float:
    """Side by side within a category: bars touch, points stand a little apart."""
    if series in bars:
        return (bars.index(series) - (len(bars) - 1) / 2) * 0.8 / len(bars)
    return (every.index(series) - (len(every) - 1) / 2) * 0.16


def _series(axes: Axes, series: Series, x: list[float], name: str, *, width: float) -> None:
    colour, label = COLOURS[series.colour % len(COLOURS)], _short(name, LEGEND_CHARS)
    y = [float("nan") if value is None else value for value in series.y]
    errors = _gaps(series.low, y, series.high)
    if series.kind == "bars":
        axes.bar(x, y, width, yerr=errors, color=colour, label=label, ecolor="#333333", capsize=3)
        return
    if series.kind == "steps":
        axes.step(x, y, where="post", color=colour, label=label, linewidth=1.5)
        return
    open_face = series.origin == "simulated"
    axes.errorbar(x, y, yerr=errors, xerr=_gaps(series.x_low, x, series.x_high), color=colour, label=label,
                  capsize=3, linewidth=1.5, markersize=5.5,
                  marker=_MARKERS.get(series.origin, "s") if series.kind == "points" or len(x) <= MOST_MARKED else "",
                  markerfacecolor="white" if open_face else colour,
                  linestyle="-" if series.kind == "line" else "none")
    _names(axes, series.labels, x, y)


def _names(axes: Axes, labels: tuple[str, ...], x: list[float], y: list[float]) -> None:
    """A point's name stands above it, to the right."""
    for text, at_x, at_y in zip(labels, x, y, strict=bool(labels)):
        axes.annotate(_short(text), (at_x, at_y), color=GREY, xytext=(4, 3), textcoords="offset points", fontsize=7)


def _gaps(low: tuple[float | None, ...], at: list[float], high: tuple[float | None, ...]) -> list[list[float]] | None:
    """From each value down and up to its interval's ends; an end that is not known is the value."""
    if not low:
        return None
    return [[max(0.0, value - (value if end is None else end)) for end, value in zip(low, at, strict=True)],
            [max(0.0, (value if end is None else end) - value) for end, value in zip(high, at, strict=True)]]


def _short(name: str, most: int = LABEL_CHARS) -> str:
    return mathless(name if len(name) <= most else name[: most - 1] + "…")
