"""What `sim run` prints of a scenario with a control plane: tables per tier and tenant, what happened, warnings."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.common import emit, escape, note
from workbench.cli.replications import profile_words, shown

if TYPE_CHECKING:
    from workbench.flows.executor import Where

SHOWN = 20  # lines of what happened to the fleet


def run_and_show(
    scenario: Path, text: str, out: Path | None, *, seed: int | None, replications: int | None, where: "Where",
    policies: tuple[str, ...], journal: bool | None, report: bool, as_json: bool,
) -> None:
    from workbench.flows.plane_run import run_plane

    with shown("seeds") as on_done:
        found = run_plane(scenario, text, out, seed=seed, replications=replications, where=where, on_done=on_done,
                          policies=policies, journal=journal)
    for line in found["warnings"]:
        note(line)
    if not found["runs"][0]["journal"]:
        note("no journal, so nothing to explain or replay: --journal writes it")
    if report:
        from workbench.report.plane import write_report

        write_report(Path(out) if out is not None else Path.cwd() / found["out"])
        found = found | {"report": f"{found['out']}/report.html"}
    emit(found, as_json, lambda: _text(found))


def _text(found: Mapping[str, Any]) -> Any:
    from rich.console import Group

    from workbench.flows.plane_tables import happened, tables

    basis = found["basis"]
    head = f"{escape(found['title'])} on {escape(profile_words(basis['profile_source'], basis))}"
    seeds = found["seeds"]
    means = f"means over {len(seeds)} seeds; summary.json has 95 % intervals" if len(seeds) > 1 else f"seed {seeds[0]}"
    own = [f"policy {escape(text)}" for text in found["policies"]]
    lines = [f"{at_ns / 1e9:9.3f} s  {text}" for at_ns, text in happened(found["runs"][0]["operations"])]
    more = [f"... and {len(lines) - SHOWN} more in summary.json"] if len(lines) > SHOWN else []
    last = [f"report: {escape(found['report'])}"] if "report" in found else []
    return Group(head, means, *own, *(_drawn(table) for table in tables(found)),
                 *map(escape, lines[:SHOWN]), *more, f"written to {escape(found['out'])}", *last)


def _drawn(drawn: Any) -> Any:
    from rich.table import Table

    table = Table(box=None, caption=escape(drawn.caption), caption_justify="left")
    for i, column in enumerate(drawn.columns):
        table.add_column(escape(column), justify="right" if i and drawn.numeric(i) else "left")
    for row in drawn.rows:
        table.add_row(*map(escape, row))
    return table
