"""`workbench init`: write the commented example of a configuration file."""

from pathlib import Path

import click

KINDS = ("bench", "sweep", "scenario", "plan")


@click.command()
@click.argument("kind", metavar="bench|sweep|scenario|plan", type=click.Choice(KINDS))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="File to write (default: KIND.toml here).")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(kind: str, out: Path | None, force: bool) -> None:
    """Write the commented example of a bench, sweep, scenario or plan file.

    \b
    Example:
      workbench init scenario && workbench sim run scenario.toml
    """
    from workbench.errors import UsageError
    from workbench.files import write_text
    from workbench.paths import data

    target = out or Path(f"{kind}.toml")
    if target.exists() and not force:
        raise UsageError(f"{target}: is there already; --force replaces it, --out writes elsewhere")
    write_text(target, (data("examples") / f"{kind}.toml").read_text(encoding="utf-8"))
    click.echo(f"wrote {target}")
