"""reports/index.html: every run of every report, newest first."""

from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.figures import escape
from workbench.files import read_json, write_text
from workbench.report import library


def runs(out: Path) -> list[dict[str, Any]]:
    """What is there: name, run_id, status, started_at_utc, error, folder (relative to `out`); newest first."""
    found = []
    for path in out.glob("*/*/provenance.json"):
        if path.parent.name.startswith("."):
            continue
        about = _about(path)
        if about is not None:
            keys = ("name", "run_id", "status", "started_at_utc", "error")
            found.append({key: about.get(key) for key in keys} | {"folder": path.parent.relative_to(out).as_posix()})
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

    rows = "".join(
        f"<tr><th>{_link(item)}</th><td>{escape.html(str(item['started_at_utc']))}</td>"
        f"<td>{escape.html(str(item['status']))}</td><td>{escape.html(str(item['error'] or ''))}</td></tr>"
        for item in runs(out)
    )
    head = "<tr><th>report</th><th>started (UTC)</th><th>status</th><th>error</th></tr>"
    body = f"<h1>Reports</h1><div class=\"wide\"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    path = out / "index.html"
    write_text(path, shell("Reports", body))
    return path


def _about(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except Failure:
        return None
    return value if isinstance(value, dict) and value.get("kind") == "workbench.report" else None


def _link(item: dict[str, Any]) -> str:
    text = escape.html(str(item["folder"]))
    return f'<a href="{text}/report.html">{text}</a>' if item["status"] == "ok" else text
