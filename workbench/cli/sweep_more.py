"""`workbench sweep skypilot | show | report | export`: what surrounds a sweep."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, note, plain

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=PATH)
@click.option("--cloud", required=True, type=click.Choice(["runpod", "vast", "lambda", "aws", "gcp", "azure"]),
              help="Where to rent.")
@click.option("--gpu", default="", help="SkyPilot's name of the GPU, such as H100 or RTX4090.")
@click.option("--region", default="", help="Region, as SkyPilot names it.")
@click.option("--spot/--no-spot", default=True, show_default=True, help="A machine that may be taken away.")
@click.option("--disk-gib", type=click.IntRange(min=32), default=256, show_default=True, help="Size of its disk.")
@click.option("--bucket", default="", metavar="URL", help="Keep finished points in s3://..., gs://... and go on from "
              "there (not on runpod and vast).")
@click.option("--resume", type=PATH, default=None, help="A folder of this sweep, fetched before: go on from there.")
@click.option("--usd-per-hour", type=click.FloatRange(min=0), default=None, help="What the machine costs.")
@click.option("--max-usd", type=click.FloatRange(min=0), default=None, help="Stop before a point that costs more.")
@click.option("--max-minutes", type=click.FloatRange(min=0), default=None, help="Stop before a point that ends later.")
@click.option("--secret", "secrets", multiple=True, metavar="VAR", help="A variable to hand over at launch, such as "
              "HF_TOKEN; its value is never written.")
@click.option("--out", type=PATH, default=None, help="File to write (default: NAME.sky.yaml in the working folder).")
@json_option
def skypilot(file: Path, out: Path | None, as_json: bool, **given: Any) -> None:
    """Write the sweep FILE as a SkyPilot task. Its first lines say how to launch it, fetch results and go on.

    \b
    Example:
      workbench sweep skypilot sweep.toml --cloud runpod --gpu H100 --usd-per-hour 2.5 --max-usd 20
      workbench sweep skypilot sweep.toml --cloud aws --gpu L4 --bucket s3://mine/sweeps
    """
    from workbench import paths
    from workbench.errors import UsageError
    from workbench.files import write_text
    from workbench.flows.sweeps.skypilot import Asked, task_text

    text = task_text(file, Asked(**given))
    target = out or Path.cwd() / f"{file.stem}.sky.yaml"
    if target.exists():
        raise UsageError(f"{paths.shown(target)}: is there already; choose another with --out")
    write_text(target, text)
    emit({"file": paths.shown(target), "task": text}, as_json,
         lambda: plain(f"wrote {paths.shown(target)}; next: sky launch {paths.shown(target)}"))


@click.command()
@click.argument("point", type=PATH)
@json_option
def show(point: Path, as_json: bool) -> None:
    """Print the exact command of a POINT (its folder, or SWEEP-FOLDER/BEGINNING-OF-ITS-NAME), and how to repeat it.

    \b
    Example:
      workbench sweep show runs/sweep-cpu/points/llama.cpp-tiny-Q4_0-chat-c4-0-1a2b3c4d5e
      workbench sweep show runs/sweep-cpu/llama.cpp-tiny
    """
    from workbench.flows.sweeps.show import show_point, text

    found = show_point(point)
    emit(found, as_json, lambda: plain(text(found)))


@click.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=None, help="Folder to write (default: FOLDER/report).")
@click.option("--gallery", type=PATH, default=None, help="Also write it as static pages (Markdown, HTML, SVG; under "
              "1 MB) into this folder, to be committed.")
@json_option
def report(folder: Path, out: Path | None, gallery: Path | None, as_json: bool) -> None:
    """Render the sweep in FOLDER as one page: curves, cost against latency, memory, power, engines side by side.

    \b
    Example:
      workbench sweep report runs/sweep-cpu
      workbench sweep report runs/sweep-cpu --gallery reports/gallery/cpu
    """
    from workbench import paths
    from workbench.cli.tables import page_text
    from workbench.figures.table import Table
    from workbench.flows.sweeps.report import report as rendered
    from workbench.report.rendered import write

    found = rendered(folder)
    target = out or folder / "report"
    note(f"wrote {paths.shown(write(found, target, gallery))}")
    if gallery is not None:
        note(f"wrote {paths.shown(gallery)}")
    first = next(item for item in found.shown if isinstance(item, Table))
    emit({**found.data, "out": paths.shown(target)}, as_json, lambda: page_text(first, found.lines))


@click.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=None, help="CSV file to write (default: FOLDER/figures.csv); an older one is "
              "replaced.")
@json_option
def export(folder: Path, out: Path | None, as_json: bool) -> None:
    """Write the figures of the sweep in FOLDER as CSV: a row a setting, workload and load, with its repeats' extremes.

    \b
    Example:
      workbench sweep export runs/sweep-cpu --out cpu.csv
    """
    from workbench import paths
    from workbench.files import write_text
    from workbench.flows.sweeps.export import figures
    from workbench.flows.sweeps.figures_row import to_csv

    rows = figures(folder)
    target = out or folder / "figures.csv"
    write_text(target, to_csv(rows))
    emit({"file": paths.shown(target), "rows": [row.model_dump() for row in rows]}, as_json,
         lambda: plain(f"wrote {paths.shown(target)}: {len(rows)} rows"))
