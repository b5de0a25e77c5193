"""`workbench runs`: list, show, diff and import run logs."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note, plain


@click.group()
def group() -> None:
    """List, show, diff and import run logs, finished or cut off.

    \b
    Example:
      workbench runs list
      workbench runs show runs/bench-20260101T000000Z/run.parquet
    """


@group.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default="runs")
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """List the run logs below FOLDER (default: runs).

    \b
    Example:
      workbench runs list runs --json
    """
    from workbench.flows.runs import list_runs

    found = list_runs(folder)
    emit({"runs": found}, as_json, lambda: _list_table(found))


@group.command()
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def show(run: Path, as_json: bool) -> None:
    """Show the metrics and the provenance of one RUN (a .parquet or .part.jsonl file, or its folder).

    \b
    Example:
      workbench runs show runs/demo/Q4_0/heldout-1.parquet
    """
    from workbench.cli.tables import summary_table
    from workbench.flows.runs import show as show_run

    found = show_run(run)
    emit(found, as_json, lambda: summary_table(found["summary"], found["provenance"]))


@group.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@json_option
def diff(first: Path, second: Path, as_json: bool) -> None:
    """Say what differs between two runs: provenance and metrics, without a verdict.

    \b
    Example:
      workbench runs diff runs/a/run.parquet runs/b/run.parquet
    """
    from workbench.flows.runs import diff as diff_runs

    found = diff_runs(first, second)
    emit(found, as_json, lambda: _diff_table(found))


@group.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder to write (default: runs/NAME).")
@click.option("--sha256", default="", metavar="HEX", help="What the archive must hash to.")
@click.option("--max-mib", type=click.IntRange(min=1), default=4096, show_default=True,
              help="Refuse what unpacks to more.")
@json_option
def import_(source: Path, out: Path | None, sha256: str, max_mib: int, as_json: bool) -> None:
    """Take in runs from another machine: SOURCE is a tar or zip archive, or a folder.

    All or nothing: links, names that lead out, what does not hash to its SHA256SUMS, and logs that cannot be read are
    refused. import.json beside the runs says where they came from.

    \b
    Example:
      workbench runs import sweep-h200.tar.gz
      workbench runs import rented/sweep --out runs/h200
    """
    from workbench.flows.runs_import import import_runs

    found = import_runs(source, out, sha256=sha256, max_bytes=max_mib * 2**20)
    if found["verified_by"] is None:
        note("no SHA256SUMS in it: nothing vouches for the files but their own form")
    emit(found, as_json, lambda: plain(
        f"{found['folder']}: {found['files']} files, {found['logs']} run logs, {found['bytes'] / 2**20:.1f} MiB"
    ))


def _list_table(found: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("run", "world", "engine", "model", "quant", "requests", "outcomes", box=None)
    for item in found:
        if "error" in item:
            table.add_row(escape(item["path"]), escape(item["error"]))
            continue
        outcomes = ", ".join(f"{count} {name}" for name, count in item["outcomes"].items())
        name = item["path"] + (" (partial)" if item["partial"] else "")
        table.add_row(*map(escape, (name, item["world"], item["engine"], item["model"], item["quant"])),
                      str(item["requests"]), outcomes)
    return table


def _diff_table(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    facts = Table("what differs", "first", "second", box=None)
    for key, (a, b) in found["provenance"].items():
        facts.add_row(escape(key), escape(str(a)[:60]), escape(str(b)[:60]))
    numbers = Table("metric", "", "first", "second", "difference", box=None)
    for row in found["metrics"]:
        change = row["rel_difference_frac"]
        numbers.add_row(row["metric"], row["stat"], f"{row['first']:.4g}", f"{row['second']:.4g}",
                        "" if change is None else f"{change:+.1%}")
    return Group(facts, "", numbers)
