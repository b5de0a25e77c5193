"""`workbench chapters`: the notebooks of the book, by chapter and by way of reading; builds the .ipynb files."""

from typing import Any

import click

from workbench.cli.common import emit, json_option


@click.group(invoke_without_command=True)
@click.option("--mode", type=click.Choice(("concept", "technique", "practice")), default=None,
              help="One of three ways through the book.")
@json_option
@click.pass_context
def group(context: click.Context, mode: str | None, as_json: bool) -> None:
    """List the notebooks of the book, all or those of one way through it.

    \b
    Example:
      workbench chapters --mode practice
    """
    if context.invoked_subcommand is not None:
        return
    from workbench.report import export, library

    found = [
        {"chapter": item.chapter, "name": item.name, "modes": list(item.modes), "run_s": item.run_s,
         "question": export.title(library.build(library.source(item.name)), item.name)}
        for item in library.every() if item.chapter and (mode is None or mode in item.modes)
    ]
    emit({"chapters": found}, as_json, lambda: _table(found))


@group.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a notebook is not what its source gives.")
@json_option
def build(check: bool, as_json: bool) -> None:
    """Make notebooks/*.ipynb from notebooks/src/*.py, without outputs (in a checkout).

    \b
    Example:
      workbench chapters build --check
    """
    from workbench.errors import Failure, UsageError
    from workbench.paths import root
    from workbench.report import library

    if root() is None:
        raise UsageError("notebooks are built in a checkout; this is an installed package")
    stale = library.outdated()
    if check and stale:
        raise Failure(f"not as their source: {', '.join(stale)}; run `workbench chapters build`")
    for name in stale:
        if name in library.names():
            library.save(library.build(library.source(name)), library.built(name))
        else:
            library.built(name).unlink()
    emit({"written": stale}, as_json,
         lambda: f"{len(stale)} notebooks written" + (": " + ", ".join(stale) if stale else ""))


def _table(found: list[dict[str, Any]]) -> Any:
    from workbench.cli.tables import plain_table

    rows = [(item["chapter"], item["name"], item["question"], ", ".join(item["modes"]), f"{item['run_s']:.0f} s")
            for item in found]
    return plain_table(("chapter", "notebook", "question", "ways", "takes"), rows)
