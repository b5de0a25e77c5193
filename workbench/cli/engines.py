"""`workbench engines`: what is there, what is here, and how to get what is not."""

from typing import Any

import click

from workbench.cli.common import emit, escape, json_option


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def group(context: click.Context, as_json: bool) -> None:
    """List the engines: installed here or not, and how to get them.

    \b
    Example:
      workbench engines
      workbench engines show llama.cpp
    """
    if context.invoked_subcommand is None:
        _list(as_json)


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the engines (as `workbench engines` does).

    \b
    Example:
      workbench engines list --json
    """
    _list(as_json)


@group.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the options, formats and metrics of the engine NAME.

    \b
    Example:
      workbench engines show llama.cpp
    """
    from workbench.flows.engines import show_engine

    found = show_engine(name)
    emit(found, as_json, lambda: _page(found))


def _list(as_json: bool) -> None:
    from workbench.flows.engines import list_engines

    found = list_engines()
    emit({"engines": found}, as_json, lambda: _table(found))


def _table(found: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("engine", "what it is", "here", "started by us", "how to get it", box=None)
    for item in found:
        here = item["version"] or ("yes" if item["installed"] else "no")
        table.add_row(item["name"], item["title"], here, "yes" if item["launches"] else "no", escape(item["get"]))
    return table


def _page(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    here = f"installed here: {found['version'] or ('yes' if found['installed'] else 'no')} ({found['place_means']})"
    lines = [f"{found['name']}: {found['title']}", here, f"get it: {escape(found['get'])}"]
    lines += [f"reads: {', '.join(found['formats'])}; {', '.join(found['quantisations'])}"] if found["formats"] else []
    lines += [f"note: {escape(found['note'])}"] if found["note"] else []
    lines += [f"metrics: {', '.join(found['metrics'])}"] if found["metrics"] else []
    if not found["options"]:
        return Group(*lines)
    table = Table("option", "default", "meaning", box=None)
    for item in found["options"]:
        table.add_row(item["name"], "required" if item["required"] else str(item["default"]), escape(item["meaning"]))
    return Group(*lines, "", table)
