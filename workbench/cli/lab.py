"""`workbench lab`: JupyterLab on the notebooks."""

from pathlib import Path

import click

from workbench.cli.common import note


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=None, required=False)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--allow-root", is_flag=True, help="Run although you are root, as in a container.")
def command(folder: Path | None, no_browser: bool, allow_root: bool) -> None:
    """Open JupyterLab on the notebooks: on loopback, with its token; it asks no server for news or updates.

    In a checkout these are the committed ones; else, or with FOLDER, copies of them (what is there is kept).

    \b
    Example:
      workbench lab
    """
    from workbench.report import lab

    place = lab.prepare(folder)
    note(f"JupyterLab on {place.name}/; Ctrl-C ends it")
    raise SystemExit(lab.serve(place, browser=not no_browser, as_root=allow_root))
