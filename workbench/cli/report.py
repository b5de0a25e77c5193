"""`workbench report`: run notebooks into offline reports, list, show and compare them, pass one on."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note

OUT = click.option("--out", type=click.Path(path_type=Path), default=None, help="Where reports are (default: reports).")


@click.group()
def group() -> None:
    """Run notebooks into offline reports, with every number's origin.

    \b
    Example:
      workbench report run ch12 -p replicas=4
      workbench report all --quick
      workbench report list
    """


@group.command()
@click.argument("name")
@click.option("--inputs", type=click.Path(path_type=Path), default=None, help="Results folder the notebook reads.")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE",
              help="A notebook parameter; may be repeated.")
@click.option("--grid", type=click.Path(path_type=Path), default=None,
              help="TOML file of parameter = [values]: a run for each combination.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Runs of a grid at a time.")
@OUT
@json_option
def run(name: str, inputs: Path | None, params: tuple[str, ...], grid: Path | None, jobs: int, out: Path | None,
        as_json: bool) -> None:
    """Run notebook NAME (or its beginning: ch12) and write OUT/NAME/RUN-ID/report.html, which opens offline.

    \b
    Example:
      workbench report run capacity --inputs runs/demo
    """
    from workbench.paths import reports, shown
    from workbench.report import arguments, library, runner
    from workbench.report.lanes import Job

    given = arguments.parse(params)
    if grid is not None:
        found = [given | values for values in arguments.grid(grid)]
        path = library.source(name)
        known = library.parameters(library.build(path))
        for values in found:
            arguments.checked(path.stem, known, values)
        _lane([Job(path.stem, values, inputs, library.about(name).run_s or 1.0) for values in found], jobs,
              out or reports(), as_json)
        return
    note(f"run notebook {name} ...")
    done = runner.run(name, given, inputs=inputs, out=out or reports())
    value = {"name": done.name, "run_id": done.run_id, "folder": shown(done.folder), "report": shown(done.html),
             "results": done.results}
    emit(value, as_json, lambda: f"{len(done.results)} numbers in {value['folder']}/results.json\n{value['report']}")


@group.command("all")
@click.option("--quick", is_flag=True, help="Small versions, one after another in one process.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Runs at a time (not --quick).")
@OUT
@json_option
def all_(quick: bool, jobs: int, out: Path | None, as_json: bool) -> None:
    """Run every chapter and appendix; a failed one is kept, marked failed, and the others go on.

    \b
    Example:
      workbench report all --quick
    """
    from workbench.paths import reports
    from workbench.report import lanes

    _lane(lanes.book(quick), 0 if quick else jobs, out or reports(), as_json)


def _lane(jobs: list[Any], at_once: int, out: Path, as_json: bool) -> None:
    """Run them, say how far it is, and end with 1 if one failed."""
    from workbench.errors import Failure
    from workbench.report import index, lanes

    def told(ended: Any, progress: Any) -> None:
        what = f"failed: {ended.error}" if ended.error else "done"
        note(f"[{progress.done}/{progress.total}] {ended.job.name}: {what} ({ended.took_s:.1f} s); "
             f"about {progress.left_s:.0f} s left")

    found = lanes.full(jobs, out, at_once, told) if at_once else lanes.fast(jobs, out, told)
    index.write(out)
    failed = [item for item in found if item.error]
    value = {"runs": [{"name": item.job.name, "values": dict(item.job.values), "folder": item.folder,
                       "error": item.error, "took_s": round(item.took_s, 2)} for item in found],
             "failed": len(failed)}
    emit(value, as_json, lambda: f"{len(found) - len(failed)} of {len(found)} reports in {out.name}/index.html")
    if failed:
        raise Failure(f"{len(failed)} of {len(found)} notebooks failed, the first: {failed[0].job.name}: "
                      f"{failed[0].error}")


@group.command("list")
@OUT
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
@click.argument("what", metavar="RUN")
@OUT
@json_option
def show(what: str, out: Path | None, as_json: bool) -> None:
    """Print a report's numbers: RUN is a folder, a run id, or a notebook (its newest run).

    \b
    Example:
      workbench report show ch12
    """
    from workbench.cli.tables import plain_table
    from workbench.paths import reports, shown
    from workbench.report import kept

    folder = kept.find(what, out or reports())
    found = kept.numbers(folder)
    columns = ("name", "value", "unit", "origin", "n", "low", "high")
    emit({"folder": shown(folder), "results": found}, as_json,
         lambda: plain_table(columns, [[item[key] for key in columns] for item in found], shown(folder)))


@group.command()
@click.argument("a")
@click.argument("b")
@click.option("--page", type=click.Path(path_type=Path), default=None, help="Also write both side by side as HTML.")
@OUT
@json_option
def diff(a: str, b: str, page: Path | None, out: Path | None, as_json: bool) -> None:
    """Print where two runs A and B of a notebook differ: parameters, numbers, and whether intervals are apart.

    \b
    Example:
      workbench report diff RUN-A RUN-B --page both.html
    """
    from workbench.cli.tables import plain_table
    from workbench.paths import reports
    from workbench.report import beside, kept

    one, other = (kept.find(what, out or reports()) for what in (a, b))
    if page is not None:
        note(f"written: {beside.write(one, other, page)}")
    table = beside.table(one, other)
    emit({"a": one.name, "b": other.name, "rows": kept.difference(one, other)}, as_json,
         lambda: plain_table(table.columns, table.rows, table.caption))


@group.command()
@click.argument("what", metavar="RUN")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--single-file", is_flag=True, help="Everything inlined, about 5 MB (always so; for the reader).")
@OUT
@json_option
def export(what: str, file: Path, single_file: bool, out: Path | None, as_json: bool) -> None:  # noqa: ARG001
    """Write report RUN as one FILE that opens anywhere: no Python, no network, nothing beside it.

    \b
    Example:
      workbench report export ch12 which-order.html --single-file
    """
    from workbench.errors import UsageError
    from workbench.files import write_text
    from workbench.paths import reports, shown
    from workbench.report import kept

    if file.exists():
        raise UsageError(f"{file}: is there already; name another file")
    page = (kept.find(what, out or reports()) / "report.html").read_text(encoding="utf-8")
    write_text(file, page)
    value = {"file": shown(file), "size_bytes": len(page.encode())}
    emit(value, as_json, lambda: f"{value['file']}: {len(page.encode()) / 1e6:.1f} MB")


@group.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, replaced if it is there.")
@json_option
def gallery(folder: Path, out: Path, as_json: bool) -> None:
    """Turn a report's run folder into static pages with SVG figures, under 1 MB, to be committed.

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
