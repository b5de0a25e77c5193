"""report.html of a plane run, from its folder: what to learn, tables, how it went over time, invoices."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.control.money.amounts import usd
from workbench.control.money.periods import moment
from workbench.figures import escape
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.files import read_json, write_text
from workbench.flows.plane_tables import moments, tables
from workbench.report.plane_charts import charts
from workbench.report.sheet import sheet
from workbench.runlog.table import read

_MARKUP = re.compile(r"([\\`*_\[\]<>&|~])")
ROWS = 60  # of what happened
INVOICES = 12


def write_report(folder: Path) -> Path:
    """Renders what lies in the folder of a run; the same folder gives the same page."""
    found = read_json(folder / "summary.json")
    seed = found["runs"][0]["seed"]
    log = read(folder / f"seed-{seed}.parquet")
    shown: list[Chart | Table] = [*tables(found), *charts(log, found), *_happened(found),
                                  *_invoices(folder, seed, found)]
    seeds = ", ".join(map(str, found["seeds"]))
    lines = [f"**What to learn.** {_exactly(found['lesson'])}" if found["lesson"] else "",
             f"Simulated; {'means over seeds' if len(found['seeds']) > 1 else 'seed'} {seeds}; figures of seed {seed}.",
             *(f"Policy {_exactly(text)}." for text in found["policies"]),
             *(f"Note: {_exactly(text)}." for text in found["warnings"])]
    title = _exactly(found["title"] or "Run of the control plane")
    about = {"name": "plane", "scenario": found["title"], "seeds": seeds, **found["basis"],
             "config_sha256": found["provenance"]["config_sha256"], "git_commit": found["provenance"]["git_commit"],
             "workbench": found["provenance"]["workbench"], "policies": "; ".join(found["policies"])}
    path = folder / "report.html"
    write_text(path, sheet(title, [line for line in lines if line], shown, about))
    return path


def _exactly(text: str) -> str:
    """Markdown that shows this text; the page escapes its HTML."""
    return _MARKUP.sub(r"\\\1", " ".join(escape.plain(text).split()))


def _happened(found: Mapping[str, Any]) -> list[Table]:
    """Numbered as the figures are marked: a moment has one mark, in the row of what happened first."""
    seed = found["runs"][0]
    rows = [("" if i else str(number), f"{at_ns / 1e9:.3f} s", text)
            for number, (_, lines) in enumerate(moments(seed["operations"], seed["stop_ns"]), start=1)
            for i, (at_ns, text) in enumerate(lines)]
    more = f" The first {ROWS} of {len(rows)}; summary.json has all." if len(rows) > ROWS else ""
    return [Table(("mark", "at", "what happened to fleet, models and alarms"), tuple(rows[:ROWS]),
                  f"Simulated, seed {seed['seed']}. What follows a mark within a 20th of the run shares it.{more}")
            ] if rows else []


def _invoices(folder: Path, seed: int, found: Mapping[str, Any]) -> list[Table]:
    path = folder / f"seed-{seed}.invoices.json"
    if not path.is_file():
        return []
    invoices = read_json(path)["invoices"]
    more = f" The first {INVOICES} of {len(invoices)}; {path.name} has all." if len(invoices) > INVOICES else ""
    utc_ns = found["control"].get("billing", {}).get("utc_ns", 0)
    return [_invoice(one, utc_ns, more) for one in invoices[:INVOICES]]


def _invoice(one: Mapping[str, Any], utc_ns: int, more: str) -> Table:
    rows = [(line["text"], line["what"], line.get("price") or "none", f"{line['tok']:,}", usd(line["cents"]))
            for line in one["lines"]]
    rows.append(("total", "", "", "", one["total_usd"]))
    span = " to ".join(moment(one["period"][key], utc_ns) for key in ("start_ns", "end_ns"))
    return Table((f"{one['number']} to {one['tenant']}", "what", "unit price", "tokens", "USD"), tuple(rows),
                 f"Simulated. {span}. Rounded once, in the total; lines by largest remainder.{more}")
