"""`workbench doctor`: can this machine do it, and what to do where it cannot."""

from typing import Any

import click

from workbench.cli.common import emit, escape, json_option

SIGNS = {"ok": "ok", "missing": "-", "warning": "warning", "failed": "FAILED"}


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Check this machine and this installation; each finding comes with its remedy. Exits 1 when something failed.

    \b
    Example:
      workbench doctor
      workbench doctor --json
    """
    from workbench.flows.doctor import examine

    told = examine()
    emit(told, as_json, lambda: _table(told["findings"]))
    if not told["ok"]:
        raise SystemExit(1)


def _table(findings: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("", "what", "found", "remedy", box=None)
    for item in findings:
        what = f"{item['group']}: {item['name']}"
        table.add_row(SIGNS[item["verdict"]], what, escape(item["found"]), escape(item["remedy"]))
    return table
