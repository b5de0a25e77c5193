"""`workbench quality compare`: optimum-benchmark beside a run of ours, figure by figure."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, progress

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=PATH, metavar="RUN.parquet")
@click.argument("model", default="tiny")
@click.option("--report", type=PATH, default=None, help="A benchmark_report.json of optimum-benchmark that is there.")
@click.option("--python", type=PATH, default=None, help="A Python that has optimum-benchmark.")
@click.option("--install", is_flag=True, help="Build its environment first (from a lock; about 1.6 GB).")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Compute threads of theirs.")
@json_option
def compare(
    run: Path, model: str, report: Path | None, python: Path | None, install: bool, threads: int, as_json: bool,
) -> None:
    """Run optimum-benchmark on MODEL with the lengths of RUN.parquet, and print both sides' figures and definitions.

    RUN.parquet is a run of one request in flight. The two measure different things under like names; the table says
    what each is.

    \b
    Example:
      workbench quality compare runs/one.parquet tiny --install
      workbench quality compare runs/one.parquet tiny --report benchmark_report.json
    """
    from workbench.flows import quality_compare

    if install:
        with progress(1, "installing optimum-benchmark") as shown:

            def advance(done: int, total: int) -> None:
                shown.total = total
                shown.update(done)

            quality_compare.install(advance)
    found = quality_compare.compare(run, model, report=report, python=python, threads=threads)
    emit(found, as_json, lambda: _table(found))


def _table(found: dict[str, Any]) -> Any:
    from rich.console import Group

    from workbench.cli.tables import plain_table

    rows = [(one["name"], one["unit"], one["theirs"], one["ours"], one["ratio"], one["their_definition"],
             one["our_definition"]) for one in found["figures"]]
    shape = found["shape"]
    head = (f"{shape['requests']} requests of {shape['prompt_tok']} tokens in and {shape['output_tok']} out (means); "
            "theirs: one sequence of these lengths")
    columns = ("figure", "unit", "optimum-benchmark", "ours", "ours / theirs", "theirs is", "ours is")
    return Group(head, plain_table(columns, rows), *(escape(text) for text in found["warnings"]))
