"""`workbench sweep`: a grid of measurements that survives the machine it runs on."""

from pathlib import Path
from typing import Any

import click

from workbench.cli import sweep_more
from workbench.cli.common import emit, escape, json_option, note, progress


@click.group()
def group() -> None:
    """Measure a grid: engines, models, settings and workloads at several loads. (`sim sweep` simulates one.)

    \b
    Example:
      workbench init sweep && workbench sweep run sweep.toml --dry-run
    """


for _command in (sweep_more.show, sweep_more.report, sweep_more.export, sweep_more.skypilot):
    group.add_command(_command)


@group.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sweep (default: runs/sweep-NAME); a rerun "
              "goes on there.")
@click.option("--dry-run", is_flag=True, help="Print points, estimated hours and USD; start nothing.")
@click.option("--usd-per-hour", type=float, help="What the machine costs (default: price.usd_per_hour of the file).")
@click.option("--max-usd", type=float, help="Stop before a point that would cost more than this in this session.")
@click.option("--max-minutes", type=float, help="Stop before a point that would not end within so many minutes.")
@click.option("--retry-failed", is_flag=True, help="Measure failed points again.")
@click.option("--retry-disturbed", is_flag=True, help="Measure points again beside which other programs ran.")
@click.option("--engine", "own", multiple=True, metavar="FILE.py:NAME", help="An engine from a file of your own, for "
              "the engine of the same name in FILE. The file is run.")
@click.option("--ray", metavar="ADDRESS", help="Measure points on the machines of a Ray cluster, a task each with its "
              "GPUs ('local': one started here).")
@json_option
def run(
    file: Path, out: Path | None, dry_run: bool, usd_per_hour: float | None, max_usd: float | None,
    max_minutes: float | None, retry_failed: bool, retry_disturbed: bool, own: tuple[str, ...], ray: str | None,
    as_json: bool,
) -> None:
    """Measure every point of FILE that is not measured yet, and keep each as it is finished.

    A point that fails is a labelled row, and the sweep goes on. After a kill, run the same line again: equal
    fingerprints are skipped. Model loads count as time and money.

    \b
    Example:
      workbench sweep run sweep.toml --dry-run --usd-per-hour 2.5
      workbench sweep run sweep.toml --usd-per-hour 2.5 --max-usd 10 --max-minutes 120
    """
    from engines import from_command_line
    from workbench import paths
    from workbench.config import parse, read_text
    from workbench.flows.sweeps.budget import Budget
    from workbench.flows.sweeps.dry import dry
    from workbench.flows.sweeps.hosts import Shelf
    from workbench.flows.sweeps.run import Sweep
    from workbench.flows.sweeps.spec import SweepSpec

    text = read_text(file)
    spec = parse(SweepSpec, text, file.name)
    price = usd_per_hour if usd_per_hour is not None else spec.price.usd_per_hour
    records = [from_command_line(item) for item in own]
    sweep = Sweep(
        spec, out or paths.runs() / f"sweep-{spec.name}", Budget.begin(price, max_usd, max_minutes),
        Shelf({record.name: record for record in records}), base=file.resolve().parent, config_text=text,
        retry_failed=retry_failed, retry_disturbed=retry_disturbed, note=note,
    )
    if dry_run:
        plan = dry(sweep)
        emit(plan, as_json, lambda: _plan_table(plan))
        return
    with progress(1, f"sweep {spec.name}") as shown:

        def advance(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        sweep.on_point = advance
        if ray is not None:
            from workbench.flows.sweeps.ray_points import run_on_ray

            result = run_on_ray(sweep, ray)
        else:
            result = sweep.run()
    emit(result, as_json, lambda: _text(result, paths.shown(sweep.folder)))


def _usd(value: float | None) -> str:
    return "" if value is None else f", {value:.2f} USD"


def _plan_table(plan: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("point", "setting", "workload", "load", "seconds", "estimate")
    for item in plan["points"]:
        load = f"{item['rate_per_s']:g}/s" if item["rate_per_s"] is not None else f"{item['concurrency']} in flight"
        state = "done" if item["done"] else item["basis"] + ("" if item["fits"] else ", does not fit")
        said = item["refused"] or state
        table.add_row(item["id"][-10:], escape(item["label"]), escape(item["workload"]), load,
                      f"{item['estimated_s']:.0f}", escape(said))
    whole = f"{plan['to_run']} points to run, {plan['done']} done: about {plan['estimated_hours']:.2f} h"
    return Group(table, whole + _usd(plan["estimated_usd"]))


def _text(result: dict[str, Any], folder: str) -> str:
    failed = ", ".join(f"{n} {kind}" for kind, n in result["failed"].items())
    lines = [f"{result['points']} points in {folder}: {result['ok']} ok" + (f", failed: {failed}" if failed else "")
             + f"; {result['ran']} measured now, {result['kept']} kept, {result['used_s'] / 60:.1f} min"
             + _usd(result["used_usd"])]
    if result["stopped"]:
        lines.append(f"stopped: {result['stopped']}")
    for found in result["searches"]:
        rate = found.get("rate_per_s")
        lines.append(f"{found['label']}, {found['workload']}: " + (f"{rate:g} requests/s" if rate else "no rate")
                     + f" ({found['why']})")
    return "\n".join(lines)
