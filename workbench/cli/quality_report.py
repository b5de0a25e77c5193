"""`workbench quality report`: quality, memory, speed and money of several quantisations, to decide from."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option, note

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=PATH)
@click.option("--distance", "distances", multiple=True, type=PATH, metavar="FILE",
              help="distance.json of `workbench quality distance`; may be repeated.")
@click.option("--speed", "speeds", multiple=True, type=PATH, metavar="PATH",
              help="A sweep's folder, or a run log of real requests; may be repeated.")
@click.option("--load", default=None, help='Which load\'s speed, such as "4 in flight" (default: the lowest).')
@click.option("--base", default="F16", show_default=True, help="The row that the others are held against.")
@click.option("--usd-per-hour", type=click.FloatRange(min=0, min_open=True), default=None,
              help="What the machine costs.")
@click.option("--table", type=PATH, default=None, metavar="FILE.csv", help="Also write the table that plans read.")
@click.option("--out", type=PATH, default=None, help="Folder to write (default: runs/quality-report-TIME).")
@click.option("--gallery", type=PATH, default=None, help="Also write it as static pages, under 1 MB, into this folder.")
@json_option
def report(
    folders: tuple[Path, ...], distances: tuple[Path, ...], speeds: tuple[Path, ...], load: str | None, base: str,
    usd_per_hour: float | None, table: Path | None, out: Path | None, gallery: Path | None, as_json: bool,
) -> None:
    """Join the answers in FOLDERs (of `workbench quality run`) with distances and speeds, on weights and KV type.

    What is printed beside a row does not match: a speed of another version, or of a grown model whose quantisation
    mixes other types. Nothing is ranked that the items cannot tell apart.

    \b
    Example:
      workbench quality report runs/quality-tiny --distance runs/distance/distance.json --speed runs/sweep-tiny
      workbench quality report runs/quality-tiny --usd-per-hour 0.1 --table tiny.csv
    """
    from workbench.cli.tables import page_text
    from workbench.figures.table import Table
    from workbench.flows.quality_report import report as rendered
    from workbench.paths import shown, stamped
    from workbench.quality.table import write as write_table
    from workbench.report.rendered import write

    found, rows = rendered(folders, distances, speeds, base=base, load=load, usd_per_hour=usd_per_hour)
    target = out or stamped("quality-report")
    note(f"wrote {shown(write(found, target, gallery))}")
    if table is not None:
        write_table(rows, table)
        note(f"wrote {shown(table)}")
    first = next(item for item in found.shown if isinstance(item, Table))
    emit({**found.data, "out": shown(target)}, as_json, lambda: page_text(first, found.lines))
