"""`workbench claims`: the book's figures, each recomputed."""

from typing import Any

import click

from workbench.cli.common import emit, escape, json_option
from workbench.errors import Failure


@click.command()
@click.option("--chapter", default=None, help="Only this chapter or appendix: 2, 5.5, G ...")
@click.option("--simulate", is_flag=True, help="Recompute the rows that need a simulation, too (a minute or two).")
@json_option
def command(chapter: str | None, simulate: bool, as_json: bool) -> None:
    """Each figure of the book: what a check finds, whether it holds, and what to say instead.

    Exits 1 where a row of datasets/claims.toml no longer agrees with its check.

    \b
    Example:
      workbench claims --chapter 2
    """
    from workbench.flows.claims import claims

    found = claims(chapter, simulate=simulate)
    emit(found, as_json, lambda: _text(found))
    wrong = [row["disagreement"] for row in found["claims"] if row["disagreement"]]
    if wrong:
        raise Failure(f"claims.toml: {wrong[0]}" + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))


def _text(found: dict[str, Any]) -> Any:
    from rich.table import Table

    from workbench.flows.claims import WORDS

    table = Table("ch", "the book says", "verdict", "what to say", box=None, padding=(0, 1), show_lines=False)
    for row in found["claims"]:
        table.add_row(row["chapter"], escape(row["claim"]), WORDS[row["verdict"]], escape(row["say"]))
    return table
