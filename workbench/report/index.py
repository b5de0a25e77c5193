"""reports/index.html: every run of every report, newest first, with a search that works by keyboard, offline."""

import base64
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.figures import escape
from workbench.files import read_json, write_text
from workbench.report import library

KEYS = ("name", "title", "chapter", "run_id", "status", "started_at_utc", "error", "origins")


def runs(out: Path) -> list[dict[str, Any]]:
    """What is there: name, title, chapter, run_id, status, started_at_utc, error, origins, folder; newest first."""
    found = []
    for path in out.glob("*/*/provenance.json"):
        if path.parent.name.startswith("."):
            continue
        about = _about(path)
        if about is not None:
            found.append({key: about.get(key) for key in KEYS} | {"folder": path.parent.relative_to(out).as_posix()})
    return sorted(found, key=lambda item: (str(item["started_at_utc"]), item["folder"]), reverse=True)


def overview(out: Path) -> dict[str, Any]:
    """The notebooks that may be run, with their parameters, and the runs below `out`."""
    notebooks = [
        {"name": name, "parameters": sorted(library.parameters(library.build(library.source(name))))}
        for name in library.names()
    ]
    return {"kind": "workbench.reports", "schema": 1, "notebooks": notebooks, "runs": runs(out)}


def write(out: Path) -> Path:
    from workbench.report.export import shell
    from workbench.report.style import SEARCH

    found = runs(out)
    cards = "".join(_card(item, out) for item in found)
    body = (
        '<h1>Reports</h1><p><label>Search by name, question, origin or date<br><input type="search" autofocus>'
        f'</label></p><p aria-live="polite">{len(found)} of {len(found)} reports</p><ul class="cards">{cards}</ul>'
    )
    path = out / "index.html"
    write_text(path, shell("Reports", body, [SEARCH]))
    return path


def _card(item: dict[str, Any], out: Path) -> str:
    title = escape.html(str(item["title"] or item["name"]))
    chapter = f"chapter {item['chapter']} · " if item["chapter"] else ""
    lines = [f"{chapter}{item['name']}", _when(str(item["started_at_utc"])), ", ".join(item["origins"] or ())]
    if item["status"] == "ok":
        folder = escape.html(str(item["folder"]))
        title = f'<a href="{folder}/report.html">{title}</a>'
    else:
        lines.append(f"{item['status']}: {item['error'] or ''}")
    text = "".join(f"<p>{escape.html(line)}</p>" for line in lines if line)
    return f"<li>{_picture(out / str(item['folder']) / 'thumbnail.png')}<h2>{title}</h2>{text}</li>"


def _when(iso: str) -> str:
    """`2026-01-31T12:00:00Z` for people, to the minute."""
    day, _, time = iso.partition("T")
    return f"{day} {time[:5]} UTC" if time else iso


def _picture(path: Path) -> str:
    """Inlined: the page's policy lets it load nothing."""
    if not path.is_file():
        return ""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'


def _about(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except Failure:
        return None
    return value if isinstance(value, dict) and value.get("kind") == "workbench.report" else None
