"""The figures of the book that a chapter checks, recomputed as it runs: datasets/claims.toml."""

from workbench.economics.claims.register import register
from workbench.errors import UsageError
from workbench.figures.table import Table
from workbench.flows.claims import WORDS, claims
from workbench.report import library


def claim_table(name: str) -> Table:
    """Of notebook `name`: the rows that its header names. Raises UsageError for an id that the register lacks."""
    item = library.about(name)
    chapters = dict.fromkeys(row.chapter for row in register() if row.id in item.claims)
    rows = {row["id"]: row for chapter in chapters for row in claims(chapter)["claims"]}
    if missing := [one for one in item.claims if one not in rows]:
        raise UsageError(f"{item.name}: claims {', '.join(missing)}: not in datasets/claims.toml")
    cells = tuple((rows[one]["claim"], WORDS[rows[one]["verdict"]], rows[one]["say"]) for one in item.claims)
    return Table(("the book", "verdict", "what to say"), cells,
                 "Derived: recomputed as this page was made; each row of the register names its check.")
