"""One page that shows a profile as a surface: decode time over the batch and the context. Opens offline."""

import json
import math
from typing import Any

from workbench.figures import escape
from workbench.profile.listing import axes, decode_rows
from workbench.profile.listing import thin as notes
from workbench.profile.profile import Profile
from workbench.report.export import plotly_source, shell

DRAW = """
for (const data of document.querySelectorAll('script.surface')) {
  const figure = JSON.parse(data.textContent);
  Plotly.newPlot(document.getElementById(data.dataset.target), figure.data, figure.layout,
    {displaylogo: false, responsive: true});
}
"""
HEIGHT_PX = 560


def surface_page(profile: Profile) -> str:
    about = profile.subject
    words = (about.model, about.quant, "on", about.hardware or about.gpu, about.engine)
    title = " ".join(word for word in words if word)
    decodes, contexts = axes(profile)
    rows = decode_rows(profile, decodes, contexts)
    value = json.dumps(figure(rows, decodes, contexts)).replace("<", "\\u003c")
    note = f"Time of one decode iteration over the number of sequences and their context. Source: {profile.source}."
    thin = "".join(f"<li>{escape.html(text)}</li>" for text in notes(profile))
    body = (
        f"<h1>{escape.html(title)}</h1>"
        f'<figure><div id="surface" role="img" aria-label="{escape.html(note)}"></div>'
        f'<script type="application/json" class="surface" data-target="surface">{value}</script>'
        f"<figcaption>{escape.html(note)} Both horizontal axes and the time are logarithmic.</figcaption></figure>"
        + (f"<h2>Where it is thin</h2><ul>{thin}</ul>" if thin else "") + _table(rows, contexts)
    )
    return shell(title, body, [plotly_source(), DRAW])


def figure(rows: list[dict[str, Any]], decodes: tuple[int, ...], contexts: tuple[int, ...]) -> dict[str, Any]:
    """{data, layout}; axes are drawn in powers of two, since a surface with log axes hides its grid."""
    by_place = {(row["decode_n"], row["ctx_tok"]): row["decode_ms"] for row in rows}
    z = [[by_place[n, ctx] for ctx in contexts] for n in decodes]
    x, y = [math.log2(ctx) for ctx in contexts], [math.log2(n) for n in decodes]
    text = [[f"{n} sequences x {ctx} tokens: {by_place[n, ctx]:.2f} ms" for ctx in contexts] for n in decodes]
    low, high = math.log10(min(map(min, z))), math.log10(max(map(max, z)))
    ticks = [10.0**i * j for i in range(math.floor(low), math.ceil(high) + 1) for j in (1, 3)]
    shown = {"tickvals": [math.log10(tick) for tick in ticks], "ticktext": [f"{tick:g}" for tick in ticks]}
    return {
        "data": [{
            "type": "surface", "x": x, "y": y, "z": [[math.log10(value) for value in row] for row in z],
            "text": text, "hoverinfo": "text", "colorscale": "Viridis",
            "colorbar": {"title": {"text": "ms"}, **shown},
            "contours": {"x": {"show": True, "color": "#ffffff", "start": x[0], "end": x[-1], "size": 1},
                         "y": {"show": True, "color": "#ffffff", "start": y[0], "end": y[-1], "size": 1}},
        }],
        "layout": {
            "height": HEIGHT_PX, "margin": {"l": 0, "r": 0, "t": 8, "b": 0}, "font": {"size": 13},
            "scene": {
                "xaxis": {"title": {"text": "context of each (tokens)"}, "tickvals": x[::2],
                          "ticktext": [f"{ctx:,}" for ctx in contexts[::2]]},
                "yaxis": {"title": {"text": "sequences"}, "tickvals": y, "ticktext": [str(n) for n in decodes]},
                "zaxis": {"title": {"text": "decode time (ms)"}, **shown},
                "camera": {"eye": {"x": -1.6, "y": -1.5, "z": 0.9}},
            },
        },
    }


def _table(rows: list[dict[str, Any]], contexts: tuple[int, ...]) -> str:
    """For readers without the picture: some contexts."""
    kept = contexts[2::3]
    head = "".join(f"<th>{ctx:,}</th>" for ctx in kept)
    lines: dict[int, str] = {}
    for row in rows:
        if row["ctx_tok"] in kept:
            cell = f"<td>{row['decode_ms']:.2f}</td>"
            lines[row["decode_n"]] = lines.get(row["decode_n"], f"<tr><th>{row['decode_n']}</th>") + cell
    body = "".join(f"{line}</tr>" for line in lines.values())
    return ("<h2>Decode time (ms)</h2><div class=\"wide\"><table><caption>Rows: sequences; columns: context of each, "
            f"in tokens.</caption><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>")
