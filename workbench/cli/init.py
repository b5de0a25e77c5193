"""`workbench init`: write the commented example of a configuration file."""

from pathlib import Path

import click

KINDS = ("bench", "sweep", "scenario", "platform", "plan", "cost", "capacity", "quality", "business")


@click.command()
@click.argument("kind", metavar="|".join(KINDS), type=click.Choice(KINDS))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="File to write (default: KIND.toml here).")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(kind: str, out: Path | None, force: bool) -> None:
    """Write the commented example of a file of that kind; platform: a scenario with the whole control plane.

    \b
    Example:
      workbench init scenario && workbench sim run scenario.toml
      workbench init platform && workbench sim run platform.toml --report
    """
    from workbench.errors import UsageError
    from workbench.files import write_text
    from workbench.paths import data

    target = out or Path(f"{kind}.toml")
    if target.exists() and not force:
        raise UsageError(f"{target}: is there already; --force replaces it, --out writes elsewhere")
    folder = data("scenarios") / "plane" if kind == "platform" else data("examples")
    write_text(target, (folder / f"{kind}.toml").read_text(encoding="utf-8"))
    click.echo(f"wrote {target}")
