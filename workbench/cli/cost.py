"""`workbench cost`: what a load over the day costs, by every way to pay."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note


@click.command()
@click.argument("cost_path", metavar="COST.toml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder for cost.json (default: none).")
@json_option
def command(cost_path: Path, out: Path | None, as_json: bool) -> None:
    """Simulate a day's load against the SLO, and price the machines it needs: rented, owned, hybrid, API.

    Utilisation is what follows from the simulation, never a guess; the figure that guesses stands beside it.
    `workbench init cost` writes a commented example.

    \b
    Example:
      workbench init cost && workbench cost cost.toml
    """
    from workbench.flows.cost import cost_file

    found = cost_file(cost_path, out, on_level=note)
    emit(found, as_json, lambda: _text(found))


def _text(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("way", "USD/h", "seeds alone", "USD/month", "1M in / cached / out", "all on out",
                  "others say", "1k requests", "user, month", box=None, padding=(0, 1))
    for row in found["ways"]:
        table.add_row(*_row(row))
    day, api = found["day"], found["api"]
    use = day["utilisation_frac"]
    lines = [
        f"Replicas over the day: {' '.join(map(str, day['replicas']))} (and {day['spare_replicas']} spare); "
        f"utilisation {use['fixed']:.0%} with a fixed fleet, {use['scaled']:.0%} where it follows the load.",
        *(f"{escape(row['name'])}: {escape(row['note'])}{_energy(row)}." for row in found["ways"] if row["note"]),
    ]
    if api is not None:
        lines.append(f"API {escape(api['name'])}: {api['usd_per_hour']:.3g} USD/h, {api['usd_per_month']:.3g} a month, "
                     f"{api['usd_per_thousand_requests']:.3g} per 1k requests.")
    stale = [f"{name} ({row['as_of']})" for name, row in found["prices"].items() if row["stale"]]
    if stale:
        lines.append(f"Prices older than a year: {escape(', '.join(stale))}; check them.")
    return Group(table, "", *lines, escape(found["answer"]))


def _row(row: dict[str, Any]) -> list[str]:
    spread, parts = row["seeds_usd_per_hour"], row["usd_per_million_tok"]
    return [escape(row["name"]), _usd(row["usd_per_hour"]), f"{_usd(spread['low'])} to {_usd(spread['high'])}",
            _usd(row["usd_per_month"]), " / ".join(_usd(parts[key]) or "none" for key in ("input", "cached", "output")),
            *map(_usd, (row["usd_per_million_output_tok_whole"], row["naive_usd_per_million_output_tok"],
                        row["usd_per_thousand_requests"], row["usd_per_user_month"]))]


def _energy(row: dict[str, Any]) -> str:
    if row["kwh_per_month"] is None:
        return ""
    carbon = "" if row["kg_co2_per_month"] is None else f", {_usd(row['kg_co2_per_month'])} kg CO2"
    return f"; {_usd(row['kwh_per_month'])} kWh{carbon} a month"


def _usd(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
