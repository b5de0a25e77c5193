"""`workbench business`: revenue, margin, cash and risk of a serving business, and the workbook of it."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option
from workbench.errors import UsageError


@click.command()
@click.argument("business_path", metavar="BUSINESS.toml", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Folder for business.json, business.xlsx (live formulas) and months.csv.")
@click.option("--margins", "run_path", type=click.Path(path_type=Path), default=None,
              help="Instead: gross margin per tenant and tier of a run log with prices and costs.")
@json_option
def command(business_path: Path | None, out: Path | None, run_path: Path | None, as_json: bool) -> None:
    """Compare ways to run a serving business over months: cash, return, break-even, and what is uncertain.

    `workbench init business` writes a commented example.

    \b
    Example:
      workbench init business && workbench business business.toml --out runs/business
    """
    from workbench.flows.business import business_file, margins_of

    if run_path is not None:
        from workbench.runlog.table import read

        found = margins_of(read(run_path))
        emit(found, as_json, lambda: _margins(found))
        return
    if business_path is None:
        raise UsageError("which business file? `workbench init business` writes an example")
    answer = business_file(business_path, out)
    emit(answer, as_json, lambda: _text(answer))


def _text(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("option", "net present value", "cash", "invested", "ROI", "paid back", "gross margin",
                  "users to break even", "draws that lose", box=None, padding=(0, 1))
    for row in found["options"]:
        done, chance = row["outcome"], row["monte_carlo"]
        table.add_row(
            escape(row["name"]), _usd(done["npv_usd"]), _usd(done["cash_usd"]), _usd(done["invested_usd"]),
            _percent(done["roi_frac"]), f"month {done['payback_month']}" if done["payback_month"] else "never",
            _percent(done["gross_margin_frac"]), _usd(row["break_even_users"]),
            "n/a" if chance is None else _percent(chance["loss_frac"]))
    best = next(row for row in found["options"] if row["name"] == found["choice"])
    lines = [f"{bar['name']}: {_usd(bar['at_low'])} to {_usd(bar['at_high'])}" for bar in best["tornado"][:5]]
    tiers = [f"{escape(one['name'])}: revenue {_usd(one['revenue_usd'])}, gross margin {_percent(one['gross_frac'])}"
             for one in found["tiers"]]
    stale = [f"{name} ({row['as_of']})" for name, row in found["prices"].items() if row["stale"]]
    tail = [f"Prices older than a year: {escape(', '.join(stale))}; check them."] if stale else []
    return Group(table, "", f"What moves {escape(best['name'])} most (net present value, one input at a time):",
                 *(f"  {escape(line)}" for line in lines), f"Tiers on {escape(best['name'])}:",
                 *(f"  {line}" for line in tiers), *tail, escape(found["answer"]))


def _margins(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    from workbench.economics.money import shown_usd

    tables: list[Any] = []
    for by, rows in found.items():
        table = Table(by, "requests", "price (USD)", "cost (USD)", "gross (USD)", "margin", box=None, padding=(0, 1))
        for row in rows:
            table.add_row(escape(row["name"]), str(row["requests"]),
                          *(shown_usd(row[key]) for key in ("price_pusd", "cost_pusd", "gross_pusd")),
                          _percent(row["gross_frac"]))
        tables += [table, ""]
    return Group(*tables)


def _usd(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"
