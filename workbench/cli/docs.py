"""`workbench docs`: rebuild the generated pages of the docs."""

import click


@click.group()
def group() -> None:
    """Rebuild the generated pages of the docs (in a checkout).

    \b
    Example:
      workbench docs build
    """


@group.command()
def build() -> None:
    """Write docs/commands/*.md, docs/glossary.md and docs/run-log.md from the code.

    \b
    Example:
      workbench docs build && mkdocs build --strict
    """
    from workbench.cli.main import cli
    from workbench.errors import UsageError
    from workbench.flows.docs import build as build_pages
    from workbench.paths import root

    top = root()
    if top is None:
        raise UsageError("docs are built in a checkout; this is an installed package")
    written = build_pages(cli, top / "docs")
    click.echo(f"{len(written)} pages written" + (": " + ", ".join(written) if written else ""))
