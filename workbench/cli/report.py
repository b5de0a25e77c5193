"""`workbench report`: run a notebook into an offline report, list what is there, make a gallery example."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note


@click.group()
def group() -> None:
    """Run notebooks into offline reports, with every number's origin.

    \b
    Example:
      workbench report run capacity --inputs runs/demo
      workbench report list
    """


@group.command()
@click.argument("name")
@click.option("--inputs", type=click.Path(path_type=Path), default=None, help="Results folder the notebook reads.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="A notebook parameter; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Where reports go (default: reports).")
@json_option
def run(name: str, inputs: Path | None, params: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Run notebook NAME and write OUT/NAME/RUN-ID/report.html, which opens offline.

    \b
    Example:
      workbench report run capacity --inputs runs/demo
    """
    from workbench.paths import reports, shown
    from workbench.report import library, runner

    note(f"run notebook {name} ...")
    found = runner.run(name, library.parse(params), inputs=inputs, out=out or reports())
    value = {"name": found.name, "run_id": found.run_id, "folder": shown(found.folder), "report": shown(found.html),
             "results": found.results}
    emit(value, as_json, lambda: f"{len(found.results)} numbers in {value['folder']}/results.json\n{value['report']}")


@group.command("list")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Where reports are (default: reports).")
@json_option
def list_(out: Path | None, as_json: bool) -> None:
    """List the notebooks that can be run and the reports that are there.

    \b
    Example:
      workbench report list
    """
    from workbench.paths import reports
    from workbench.report.index import overview

    found = overview(out or reports())
    emit(found, as_json, lambda: _listing(found))


@group.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, replaced if it is there.")
@json_option
def gallery(folder: Path, out: Path, as_json: bool) -> None:
    """Turn a report's run folder into Markdown with SVG figures, under 1 MB, to be committed.

    \b
    Example:
      workbench report gallery reports/capacity/RUN-ID --out reports/gallery/capacity
    """
    from workbench.paths import shown
    from workbench.report.gallery import write

    size_bytes = write(folder, out)
    value = {"folder": shown(out), "size_bytes": size_bytes}
    emit(value, as_json, lambda: f"{value['folder']}: {size_bytes / 1000:.0f} kB")


def _listing(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("report", "started (UTC)", "status", "error", box=None)
    for item in found["runs"]:
        table.add_row(*(escape(str(item[key] or "")) for key in ("folder", "started_at_utc", "status", "error")))
    names = ", ".join(f"{item['name']} ({', '.join(item['parameters'])})" for item in found["notebooks"])
    return Group(f"notebooks: {escape(names)}", table)
