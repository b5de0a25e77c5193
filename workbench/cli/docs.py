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
    """Write the generated pages from the code, and the README's results from the gallery.

    \b
    Example:
      workbench docs build && mkdocs build --strict
    """
    from workbench.cli.main import cli
    from workbench.errors import UsageError
    from workbench.files import write_text
    from workbench.flows.docs import build as build_pages
    from workbench.flows.readme import filled
    from workbench.paths import root

    top = root()
    if top is None:
        raise UsageError("docs are built in a checkout; this is an installed package")
    written = build_pages(cli, top / "docs")
    readme = (top / "README.md").read_text(encoding="utf-8")
    if (text := filled(readme, top)) != readme:
        write_text(top / "README.md", text)
        written.append("README.md")
    click.echo(f"{len(written)} pages written" + (": " + ", ".join(written) if written else ""))
