"""Charts and tables: origin always shown, hostile names harmless, the same data gives the same bytes."""

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from workbench.figures import escape
from workbench.figures.chart import Chart, Panel, Series, drawn
from workbench.figures.interactive import plotly_json
from workbench.figures.static import _figure, render
from workbench.figures.table import Table, number, percent

HOSTILE = "<script>alert(1)</script> $x_{ [link=evil] \x1b[31m\x1b]0;t\x07 |"


def chart(name: str = "Q4_0") -> Chart:
    low, high = (0.1, None, 0.7), (0.3, None, 0.9)
    lines = Series(name, (1, 2, 3), (0.2, None, 0.8), "simulated", "line", 0, low, high)
    bars = Series("cost", (1, 2, 3), (1.0, 2.0, 3.0), "derived", "bars", 1)
    panels = (Panel("SLO attainment", (lines,), 0.95, "target"), Panel("cost (USD)", (bars,), log_y=True))
    return Chart("c", "replicas", panels, "What one sees.", "n = 5 seeds", "Two panels")


def test_a_chart_survives_json() -> None:
    assert Chart.from_dict(json.loads(json.dumps(chart().as_dict()))) == chart()


def test_origin_is_in_the_legend_and_the_caption() -> None:
    assert drawn(chart().panels[0].series[0]) == "Q4_0 (simulated)"
    assert chart().full_caption == "What one sees. Origin: simulated, derived; n = 5 seeds."


@pytest.mark.parametrize("draw", [lambda: render.__wrapped__(chart()), lambda: render.__wrapped__(chart(), "png")])
@pytest.mark.slow
def test_drawing_is_deterministic(draw: Callable[[], bytes]) -> None:
    assert draw() == draw()


def test_drawn_as_a_thumbnail_first_it_is_the_same_picture() -> None:
    alone = render.__wrapped__(chart())
    assert render.__wrapped__(chart(), "png", 45).startswith(b"\x89PNG")
    assert render.__wrapped__(chart()) == alone


def test_a_level_and_a_mark_stand_at_their_value_on_logarithmic_axes() -> None:
    """plotly reads the place of a line as a value, that of its label as a logarithm: at 50 the axis went to 1e50."""
    series = Series("a", (1.0, 100.0), (1.0, 1000.0), "measured")
    for log in (False, True):
        panel = Panel("time (s)", (series,), level=50.0, level_label="target", log_y=log)
        found = Chart("c", "x (s)", (panel,), "c", "n = 1", "a", marks=((10.0, "now"),), log_x=log)
        layout = plotly_json(found)["layout"]
        level, mark = layout["annotations"]
        assert level["y"] == (pytest.approx(math.log10(50)) if log else 50)
        assert mark["x"] == (1 if log else 10)
        assert [(shape["x0"], shape["y0"]) for shape in layout["shapes"]] == [(0, 50), (10, 0)]


@pytest.mark.parametrize(("most", "ticks"), [(5.0, {"nticks": 5}), (50.0, {"dtick": "D2"}), (1e4, {"dtick": 1}),
                                             (1e7, {"dtick": 2})])
def test_a_logarithmic_axis_has_few_ticks(most: float, ticks: dict[str, Any]) -> None:
    panel = Panel("time (s)", (Series("a", (1.0, most), (most, None), "measured", low=(1.0, 0.0), high=(most, 1.0)),),
                  log_y=True)
    layout = plotly_json(Chart("c", "x (s)", (panel,), "c", "n = 1", "a", log_x=True))["layout"]
    for axis in ("xaxis", "yaxis"):
        assert ticks.items() <= layout[axis].items()


def test_panels_leave_room_for_the_next_ones_label() -> None:
    panel = Panel("mean KL divergence to F16 (nats)", (Series("a", (1,), (1.0,), "measured"),))
    layout = plotly_json(Chart("c", "x", (panel,) * 4, "c", "n = 1", "a"))["layout"]
    ends = [layout[f"xaxis{i}"]["domain"] for i in ("", 2, 3, 4)]
    assert all(after[0] - before[1] >= 0.099 for before, after in itertools.pairwise(ends))


def test_a_legend_of_long_names_stays_inside_the_picture() -> None:
    lines = tuple(Series(f"llama.cpp Q8_0 number {i}", (1, 2), (1.0, 2.0), "measured", colour=i) for i in range(5))
    figure = _figure(Chart("c", "x", (Panel("y", lines), Panel("y", lines)), "What.", "n = 1", "Two panels"))
    FigureCanvasAgg(figure).draw()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


@pytest.mark.parametrize(("most", "shown"), [(8.0, ["1", "2", "5"]), (1e6, ["$\\mathdefault{10^{3}}$"])])
def test_a_short_logarithmic_axis_has_plain_numbers(most: float, shown: list[str]) -> None:
    line = Series("a", (1.0, most), (1.0, most), "measured")
    figure = _figure(Chart("c", "x", (Panel("y", (line,), log_y=True),), "What.", "n = 1", "A panel", log_x=True))
    FigureCanvasAgg(figure).draw()
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        assert {text.get_text() for text in axis.get_ticklabels()} >= set(shown)
        assert not any(text.get_text() for text in axis.get_ticklabels(minor=True))


def test_hostile_names_stay_text() -> None:
    shown = json.dumps(plotly_json(chart(HOSTILE)))
    assert "<script" not in shown
    assert "\\u001b" not in shown
    assert b"<script" not in render(chart(HOSTILE))
    bundle = Table((HOSTILE, "b"), ((HOSTILE, "1"),), HOSTILE)._repr_mimebundle_()
    assert "<script" not in bundle["text/html"]
    assert "<script" not in bundle["text/markdown"]
    assert "\x1b" not in bundle["text/plain"]
    assert escape.markdown("a|b [x](y) `c`\n# d") == r"a\|b \[x\]\(y\) \`c\` \# d"


def test_intervals_become_error_bars_and_gaps_stay_gaps() -> None:
    trace = plotly_json(chart())["data"][0]
    assert trace["error_y"]["array"] == pytest.approx([0.1, 0.0, 0.1])
    assert trace["y"][1] is None


def test_a_place_on_x_has_an_interval_and_a_point_a_name() -> None:
    points = Series("KL", (2.0, 4.0), (1.0, 2.0), "measured", "points", x_low=(1.5, None), x_high=(3.0, None),
                    labels=("Q8_0", "$x_{"))
    found = Chart("c", "speed", (Panel("KL", (points,)),), "What.", "n = 3", "One panel")
    assert Chart.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    trace = plotly_json(found)["data"][0]
    assert (trace["error_x"]["array"], trace["error_x"]["arrayminus"]) == ([1.0, 0.0], [0.5, 0.0])
    axes = _figure(found).axes[0]
    (drawn_points,) = axes.containers
    assert [bar.get_segments()[0][:, 0].tolist() for bar in drawn_points[2]] == [[1.5, 3.0]]
    assert axes.texts[0].get_text() == "Q8_0"
    with pytest.raises(ValueError, match="differ in length"):
        Series("KL", (2.0,), (1.0,), "measured", labels=("a", "b"))


def test_points_of_a_category_stand_side_by_side() -> None:
    names = ("a", "b")
    series = [Series(n, names, (1.0, 2.0), "measured", "points", i, (0.5, 1.5), (1.5, 2.5)) for i, n in enumerate("xy")]
    found = Chart("d", "", (Panel("s", tuple(series)),), "c", "b", "a", names)
    assert render(found).startswith(b"<?xml")
    layout = plotly_json(found)["layout"]
    assert layout["xaxis"]["categoryarray"] == ["a", "b"]
    assert layout["scattermode"] == "group"
    assert "scattermode" not in plotly_json(chart())["layout"]  # on a number line it would move the points


def test_short_words_stay_in_one_line_and_long_ones_do_not() -> None:
    html = Table(("name", "verdict", "why", "n"), (("a", "no difference shown", "x" * 23, "1"),)).as_html()
    assert '<td class="word short">no difference shown</td><td class="word">x' in html
    assert "<td>1</td>" in html


def test_uneven_series_and_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Series("a", (1, 2), (1.0,), "measured")
    with pytest.raises(ValueError, match="a row of 1"):
        Table(("a", "b"), (("x",),))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "n/a"), (0.0, "0.000"), (0.1234, "0.123"), (1.2345, "1.23"), (12345.6, "12,346"), (1e-5, "1e-05"),
     (3.2e7, "3.2e+07")],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text
    assert percent(None) == "n/a"
    assert percent(0.1234) == "12.3 %"
