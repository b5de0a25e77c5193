"""The generated pages of the docs: one page a command from its own help, the glossary from the metrics.

They are committed, so that they can be read without building; a test says when they are out of date.
"""

from dataclasses import fields
from pathlib import Path

import click

from workbench.files import write_text
from workbench.metrics import METRICS
from workbench.runlog.schema import Row


def pages(cli: click.Group) -> dict[str, str]:
    """Every generated page: path below docs/ -> text."""
    from workbench.flows.claims import page as claims_page
    from workbench.flows.engine_choosing import choosing_page
    from workbench.flows.engine_pages import options_page
    from workbench.flows.formats_page import formats_page

    made = {"glossary.md": glossary(), "run-log.md": run_log(), "engines/options.md": options_page(),
            "engines/choosing.md": choosing_page(),
            "formats.md": formats_page(), "economics/claims.md": claims_page()}
    context = click.Context(cli, info_name="workbench", **cli.context_settings)
    names = cli.list_commands(context)
    for name in names:
        command = cli.get_command(context, name)
        assert command is not None
        made[f"commands/{name}.md"] = command_page(command, context, name)
    made["commands/index.md"] = "# Commands\n\n" + "\n".join(
        f"- [`workbench {name}`]({name}.md): {_short(cli, context, name)}" for name in names
    ) + "\n"
    return made


def build(cli: click.Group, docs: Path) -> list[str]:
    """Write what changed; returns the paths written."""
    written = []
    for name, text in pages(cli).items():
        target = docs / name
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            write_text(target, text)
            written.append(name)
    return written


def command_page(command: click.Command, parent: click.Context, name: str) -> str:
    """The page of one command and of its subcommands."""
    context = click.Context(command, info_name=name, parent=parent)
    text = f"# workbench {name}\n\n```text\n{_help(command, context)}\n```\n"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            inner = click.Context(found, info_name=sub, parent=context)
            text += f"\n## workbench {name} {sub}\n\n```text\n{_help(found, inner)}\n```\n"
    return text


def glossary() -> str:
    rows = "\n".join(
        f"| `{m.name}` | {m.label} | {m.unit or '-'} | {m.formula} | {m.better or '-'} |" for m in METRICS.values()
    )
    return (
        "# Glossary: the metrics\n\nGenerated from `workbench/metrics.py`. All are computed from a run log, real or "
        "simulated, without its warm-up rows. A percentile is shown only where at least three values lie beyond it.\n\n"
        "| name | what | unit | formula | better |\n| --- | --- | --- | --- | --- |\n" + rows + "\n"
    )


def run_log() -> str:
    rows = "\n".join(
        f"| `{c.name}` | {c.metadata['unit'] or '-'} | {c.metadata['doc']} | {_worlds(c.metadata)} |"
        for c in fields(Row)
    )
    return (
        "# The run log\n\nGenerated from `workbench/runlog/schema.py`. One row per request, Parquet with the "
        "provenance in the file's metadata. While a run goes on, `NAME.part.jsonl` grows; after a kill it is readable "
        "and says that it is partial.\n\n| column | unit | what | null in |\n| --- | --- | --- | --- |\n" + rows + "\n"
    )


def _worlds(metadata: object) -> str:
    assert hasattr(metadata, "__getitem__")
    absent = [world for world in ("real", "simulated") if not metadata[world]]
    return f"{absent[0]} runs" if absent else ""


def _help(command: click.Command, context: click.Context) -> str:
    context.max_content_width = 100
    context.terminal_width = 100
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def _short(cli: click.Group, context: click.Context, name: str) -> str:
    command = cli.get_command(context, name)
    assert command is not None
    return command.get_short_help_str(limit=200)
