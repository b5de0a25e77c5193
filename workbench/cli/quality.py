"""`workbench quality`: what a quantisation, an engine or a setting does to answers, item by item."""

from pathlib import Path

import click

from workbench.cli import quality_compare, quality_distance, quality_greedy, quality_report
from workbench.cli import quality_tables as tables
from workbench.cli.common import emit, json_option, note, progress

PATH = click.Path(path_type=Path)


@click.group()
def group() -> None:
    """Ask models the same questions in every quantisation and on every engine, and compare answers in pairs.

    \b
    Example:
      workbench init quality && workbench quality run quality.toml
    """


@group.command()
@click.argument("file", type=PATH)
@click.option("--out", type=PATH, help="Folder of the rows (default: runs/quality-NAME); a rerun goes on there.")
@click.option("--dry-run", is_flag=True, help="Print cells, items and an estimate of the time; start nothing.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many items of each task.")
@click.option("--task", "only", multiple=True, metavar="NAME", help="Only this task of the suite; may be repeated.")
@click.option("--retry-failed", is_flag=True, help="Ask items again that failed.")
@click.option("--hub", is_flag=True, help="lm-eval may fetch data sets from the Hugging Face hub.")
@click.option("--allow-code", is_flag=True, help="Run functions that lm-eval YAML of your own names.")
@click.option("--unsafe", is_flag=True, help="Where no sandbox can be had, run generated code with your "
              "rights: it can read and delete your files.")
@click.option("--engine", "own", multiple=True, metavar="FILE.py:NAME", help="An engine from a file of your own, for "
              "the engine of the same name in FILE. The file is run.")
@json_option
def run(
    file: Path, out: Path | None, dry_run: bool, limit: int | None, only: tuple[str, ...], retry_failed: bool,
    hub: bool, allow_code: bool, unsafe: bool, own: tuple[str, ...], as_json: bool,
) -> None:
    """Ask every model of FILE every task, and keep each item as it is answered.

    After a kill, run the same line again: what is answered is not asked again. An item that fails is a row with its
    reason.

    \b
    Example:
      workbench quality run quality.toml --dry-run
      workbench quality run quality.toml --limit 20
    """
    from engines import from_command_line
    from workbench import paths
    from workbench.config import parse, read_text
    from workbench.errors import Failure
    from workbench.flows.quality import Suite
    from workbench.flows.quality_spec import SuiteSpec
    from workbench.flows.sweeps.hosts import Shelf

    text = read_text(file)
    spec = parse(SuiteSpec, text, file.name)
    records = [from_command_line(item) for item in own]
    suite = Suite(
        spec, out or paths.runs() / f"quality-{spec.name}", file.resolve().parent, config_text=text, only=only,
        limit=limit, allow_code=allow_code, unsafe=unsafe, hub=hub, retry_failed=retry_failed,
        shelf=Shelf({record.name: record for record in records}), note=note,
    )
    plan = suite.plan()
    note(tables.estimate(plan))
    if dry_run:
        emit({"cells": plan}, as_json, lambda: tables.plan_table(plan))
        return
    begun = sum(item["items"] - item["left"] for item in plan)
    with progress(sum(item["items"] for item in plan), f"quality {spec.name}") as shown:
        shown.update(begun)
        suite.on_row = lambda: shown.update(shown.done + 1)
        result = suite.run()
    emit(result, as_json, lambda: tables.scores(result["cells"], paths.shown(suite.out)))
    if result["failed"]:
        first = result["failed"][0]
        raise Failure(f"{len(result['failed'])} of {len(plan)} cells failed: {first['cell']}: {first['why']}")


@group.command()
@click.argument("out", type=PATH)
@click.option("--flips", nargs=2, metavar="A B", help="Items whose score differs between the cells A and B: by folder, "
              "quantisation, or engine and quantisation ('vllm-cpu F16').")
@click.option("--items", "cell", metavar="CELL", help="Every row of one cell.")
@click.option("--failed", is_flag=True, help="With --items: only those that failed.")
@click.option("--task", metavar="NAME", help="Of this task only.")
@json_option
def show(
    out: Path, flips: tuple[str, str] | None, cell: str | None, failed: bool, task: str | None, as_json: bool
) -> None:
    """Show the scores in the folder OUT, the items that changed between two cells, or the rows of one.

    \b
    Example:
      workbench quality show runs/quality-tiny
      workbench quality show runs/quality-tiny --flips F16 Q2_K
      workbench quality show runs/quality-tiny --items Q4_0 --task tiny_cloze
    """
    from workbench.errors import UsageError
    from workbench.flows import quality_show

    if failed and cell is None:
        raise UsageError("--failed: of which cell? give --items CELL with it")
    if flips is not None:
        found = quality_show.flips(out, *flips, task)
        emit(found, as_json, lambda: tables.flips(found))
    elif cell is not None:
        rows = [row.as_dict() for row in quality_show.items(out, cell, task, failed=failed)]
        emit({"rows": rows}, as_json, lambda: tables.rows(rows))
    else:
        told = quality_show.show(out, task)
        emit(told, as_json, lambda: tables.scores(told["cells"], str(out)))


@group.command()
@click.argument("out", type=PATH)
@click.argument("first")
@click.argument("second")
@click.option("--near-tie", default=0.05, show_default=True, type=click.FloatRange(min=0), help="Nats by which an "
              "option must be ahead for its item to count.")
@json_option
def crosscheck(out: Path, first: str, second: str, near_tie: float, as_json: bool) -> None:
    """Say whether the cells FIRST and SECOND in OUT answer alike, item by item: the same weights on two engines.

    Items that no option leads by more than a near tie are counted and listed apart. Fails where others differ.

    \b
    Example:
      workbench quality crosscheck runs/quality-engines "llama.cpp" "vllm-cpu"
    """
    from workbench.errors import Failure
    from workbench.flows.quality_show import crosscheck as check

    found = check(out, first, second, near_tie)
    emit(found, as_json, lambda: tables.agreement(found))
    if not found["holds"]:
        raise Failure(f"{first} and {second} disagree where an option is ahead by more than {near_tie:g} nats")


@group.command()
@json_option
def tasks(as_json: bool) -> None:
    """List the tasks that ship, for `tasks = [...]` of a suite.

    \b
    Example:
      workbench quality tasks
    """
    from workbench.flows.quality_spec import shipped

    found = [{"name": name, "form": spec.form, "lm_eval": spec.lm_eval or None} for name, spec in shipped().items()]
    emit({"tasks": found}, as_json, lambda: "\n".join(
        f"{item['name']}: {item['form'] or 'lm-eval task ' + str(item['lm_eval'])}" for item in found))


@group.command()
@json_option
def install(as_json: bool) -> None:
    """Build the environment of lm-eval, the harness, from its lock; interrupted, it goes on when it is run again.

    \b
    Example:
      workbench quality install
    """
    from workbench.flows.quality_harness import install as build

    with progress(1, "installing lm-eval") as shown:

        def advance(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        done = build(advance)
    emit(done, as_json, lambda: f"lm-eval {done['version']}: {done['packages']} packages, "
                                f"{done['disk_bytes'] / 1e9:.2f} GB, {done['seconds']:.0f} s")


@group.command("tiny-world")
@click.option("--out", type=PATH, required=True, help="Folder to write the data set into.")
@json_option
def tiny_world(out: Path, as_json: bool) -> None:
    """Write the little world's tasks (datasets/tiny_world) anew from the code that makes them.

    \b
    Example:
      workbench quality tiny-world --out datasets/tiny_world
    """
    from workbench.models.tiny_world import make
    from workbench.paths import shown

    files = [path.name for path in make(out)]
    emit({"files": files}, as_json, lambda: f"{shown(out)}: {', '.join(files)}")


for _command in (quality_distance.distance, quality_greedy.greedy, quality_report.report, quality_compare.compare):
    group.add_command(_command)
