"""The executed notebook as one page that opens offline from a file: nothing is loaded, nothing unescaped.

Cells' Markdown is rendered with raw HTML escaped, charts and tables come as data and are drawn here, every other
output is text. The page's policy allows exactly its own scripts and style, by hash.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import mistune

from workbench.figures import chart as charts
from workbench.figures import escape, static
from workbench.figures.interactive import plotly_json
from workbench.figures.table import MIME as TABLE
from workbench.figures.table import Table
from workbench.report import results
from workbench.report.style import CSS, DRAW

MOST_ROWS = 120  # of a figure's table
BESIDE = "Code: notebook.ipynb; numbers: results.json; parameters: params.json; all beside this page."
_NOTHING = ""  # plotly makes an empty <style> element and fills it through the object model: its hash is allowed
Notebook = Mapping[str, Any]
Draw = Callable[[charts.Chart], str]


def figures(notebook: Notebook) -> dict[str, bytes]:
    """Every chart that the cells showed, as SVG by name."""
    return {chart.name: static.render(chart) for chart in charts_in(notebook)}


def page(notebook: Notebook, about: Mapping[str, Any]) -> str:
    """The whole report."""
    first, *rest = [_cell(cell) for cell in notebook["cells"]] or [""]
    body = "\n".join([first, _lead(notebook), *rest, _footer(about)])
    scripts = [plotly_source(), DRAW] if charts_in(notebook) else []
    return shell(title(notebook, str(about["name"])), body, scripts)


def static_page(notebook: Notebook, about: Mapping[str, Any]) -> str:
    """Without scripts: figures are the SVG files beside it."""
    first, *rest = [_cell(cell, picture) for cell in notebook["cells"]] or [""]
    body = "\n".join([first, _lead(notebook), *rest, _footer(about)])
    return shell(title(notebook, str(about["name"])), body)


def picture(chart: charts.Chart) -> str:
    name, alt = escape.html(chart.name), escape.html(chart.alt)
    caption = escape.prose(chart.full_caption)
    several = " panels" if len(chart.panels) > 1 else ""
    return (f'<figure><div class="wide{several}"><img alt="{alt}" src="figures/{name}.svg"></div>'
            f"<figcaption>{caption}</figcaption></figure>")


def shell(heading: str, body: str, scripts: list[str] | None = None) -> str:
    """An HTML page around `body`, with a policy that allows these scripts and this style only."""
    scripts = scripts or []
    allowed = " ".join(map(source_hash, scripts)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {source_hash(CSS)} {source_hash(_NOTHING)}; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
    )
    tail = "".join(f"<script>{script}</script>" for script in scripts)
    if scripts and scripts[0] is plotly_source():
        tail = _map_styles() + tail
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape.html(heading)}</title><style>{CSS}</style></head>\n<body><main>{body}</main>{tail}</body></html>\n"
    )


def source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _map_styles() -> str:
    """plotly adds the style sheet of its maps unless an element of that id is there; the policy would forbid it."""
    found = re.search(r'getElementById\("([0-9a-f]{64})"\)', plotly_source())
    return f'<i hidden id="{found[1]}"></i>' if found else ""


@cache
def plotly_source() -> str:
    """The bundle that comes with the plotly package; its URLs are of map tiles, which the policy blocks."""
    text = (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")


@cache
def _markdown() -> Any:
    return mistune.create_markdown(escape=True, plugins=["table"])


def markdown(text: str) -> str:
    """Markdown to HTML; raw HTML in it is shown as text, links of odd schemes are dropped."""
    return str(_markdown()(escape.plain(text)))


def charts_in(notebook: Notebook) -> list[charts.Chart]:
    """What the cells drew, in order."""
    shown = (output.get("data", {}) for output in results.outputs(notebook))
    return [charts.Chart.from_dict(data[charts.MIME]) for data in shown if charts.MIME in data]


def _cell(cell: Mapping[str, Any], draw: Draw | None = None) -> str:
    """Text and what code showed; the code itself is in notebook.ipynb beside the page."""
    if cell["cell_type"] == "markdown":
        return markdown(joined(cell["source"]))
    return "".join(_output(output, draw or figure) for output in cell["outputs"])


def _output(output: Mapping[str, Any], draw: Draw) -> str:
    if output["output_type"] == "stream":
        return f'<pre class="stream">{escape.html(joined(output["text"]))}</pre>'
    if output["output_type"] == "error":
        return f'<pre class="error">{escape.html(output["ename"])}: {escape.html(output["evalue"])}</pre>'
    data = output["data"]
    if charts.MIME in data:
        return draw(charts.Chart.from_dict(data[charts.MIME]))
    if TABLE in data:
        return f'<div class="wide">{Table.from_dict(data[TABLE]).as_html()}</div>'
    if results.MIME in data:
        return _results(data[results.MIME])
    if "text/markdown" in data:
        return markdown(joined(data["text/markdown"]))
    return f"<pre>{escape.html(joined(data.get('text/plain', '')))}</pre>"


def figure(chart: charts.Chart, prefix: str = "") -> str:
    """A place, the figure's data, the picture for readers without scripts, the caption, and the numbers as a table.

    `prefix` keeps two figures of one name on a page apart.
    """
    name, alt = escape.html(f"{prefix}{chart.name}"), escape.html(chart.alt)
    value = json.dumps(plotly_json(chart)).replace("<", "\\u003c")
    picture = base64.b64encode(static.render(chart)).decode()
    return (
        f'<figure><div id="figure-{name}" role="img" aria-label="{alt}"></div>'
        f'<script type="application/json" class="figure" data-target="figure-{name}">{value}</script>'
        f'<noscript><img alt="{alt}" src="data:image/svg+xml;base64,{picture}"></noscript>'
        f"<figcaption>{escape.prose(chart.full_caption)}</figcaption>"
        "<details><summary>The figure as a table</summary>"
        f'<div class="wide">{_numbers(chart).as_html()}</div></details></figure>'
    )


def _numbers(chart: charts.Chart) -> Table:
    """What the figure draws, for who cannot see it."""
    rows = tuple(
        (_short(x), series.name, panel.y_axis, _short(y), _short(series.low[i]) if series.low else "",
         _short(series.high[i]) if series.high else "", series.origin)
        for panel in chart.panels for series in panel.series
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True))
    )
    more = f" The first {MOST_ROWS} of {len(rows)} points." if len(rows) > MOST_ROWS else ""
    return Table((chart.x_axis, "series", "what", "value", "low", "high", "origin"), rows[:MOST_ROWS], more.strip())


def _short(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.5g}"


def _results(items: list[Mapping[str, Any]]) -> str:
    rows = tuple(
        (str(item["name"]), str(item["value"]), str(item["unit"]), str(item["origin"]), _or_dash(item["n"]),
         _or_dash(item["low"]), _or_dash(item["high"])) for item in items
    )
    table = Table(("name", "value", "unit", "origin", "n", "low", "high"), rows)
    summary = f"{len(rows)} numbers, as in results.json"
    return f'<details><summary>{summary}</summary><div class="wide">{table.as_html()}</div></details>'


def _or_dash(value: Any) -> str:
    return "–" if value is None else str(value)


def title(notebook: Notebook, name: str) -> str:
    """The heading that a notebook begins with, else its name."""
    first = joined(notebook["cells"][0]["source"]).strip().splitlines() if notebook["cells"] else []
    return first[0].lstrip("# ") if first and first[0].startswith("#") else name


def _lead(notebook: Notebook) -> str:
    """The answer first: what the last cell said."""
    for output in reversed(list(results.outputs(notebook))):
        data = output.get("data", {})
        if "text/markdown" in data and TABLE not in data:
            said = markdown(joined(data["text/markdown"]))
            return f'<aside class="answer"><strong>The answer, from the end of this page</strong>{said}</aside>'
    return ""


def _footer(about: Mapping[str, Any]) -> str:
    rows = tuple((key, _flat(value)) for key, value in about.items() if key not in {"kind", "schema", "beside"})
    table = Table(("provenance", "value"), rows)
    beside = escape.html(str(about.get("beside", BESIDE)))
    summary = "<summary>How this report came about</summary>"
    return f"<footer><details>{summary}{table.as_html()}<p>{beside}</p></details></footer>"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_flat(item)}" for key, item in value.items())
    return _or_dash(value)


def joined(text: str | list[str]) -> str:
    """nbformat stores text as one string or as a list of lines."""
    return text if isinstance(text, str) else "".join(text)
