"""`workbench demo`: the whole chain on this machine."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, progress


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder to write (default: runs/demo-TIME).")
@click.option("--reports", type=click.Path(path_type=Path), default=None, help="Where reports go (default: reports).")
@click.option("--seed", type=int, default=None, help="Seed of the workloads.")
@click.option("--quick", is_flag=True, help="One quantisation, runs of a few seconds: shows the way, proves little.")
@json_option
def command(out: Path | None, reports: Path | None, seed: int | None, quick: bool, as_json: bool) -> None:
    """Measure this machine with a real engine, predict it, validate the prediction, and price the answer.

    Starts llama.cpp on the shipped model (grown to 27 M parameters, three quantisations), benchmarks it, fits a
    profile from part of the runs, simulates the others, decides how many replicas a load needs at what cost, and
    writes an offline HTML report. About five minutes on two cores; run nothing else meanwhile.

    \b
    Example:
      workbench demo
      workbench demo --quick --json
    """
    from workbench.flows.demo import run_demo
    from workbench.report.runner import run

    def capacity(inputs: Path, where: Path) -> Any:
        return run("capacity", {}, inputs=inputs, out=where)

    found = run_demo(out, reports, progress, capacity, seed=seed, quick=quick)
    emit(found, as_json, lambda: _text(found))


def _text(found: dict[str, Any]) -> Any:
    from rich.console import Group

    from workbench.cli.plan import plan_table
    from workbench.cli.validate import validation_table

    return Group(
        "", "Measured against simulated, on runs that the profile never saw:", validation_table(found["validation"]),
        "", plan_table(found["plan"]),
        "", f"Run logs and profiles: {escape(found['folder'])}", f"Report: {escape(found['report'])}",
    )
