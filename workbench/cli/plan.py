"""`workbench plan`: replicas, candidate and cost for a load and an SLO."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note


@click.command()
@click.argument("plan_path", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Folder for plan.json (default: runs/plan-TIME).")
@click.option("--min-quality", default=None, metavar="SCORE|TASK=SHARE", help="Leave out what scores less (default: "
              "the file's); TASK=0.95: what keeps less of the unquantised score of TASK.")
@click.option("--quality-table", type=click.Path(path_type=Path), default=None, metavar="FILE.csv",
              help="Where TASK's scores are (default: the shipped model's; `workbench quality report --table`).")
@json_option
def command(
    plan_path: Path, out: Path | None, min_quality: str | None, quality_table: Path | None, as_json: bool,
) -> None:
    """Find the fewest replicas that keep the SLO at the load, for each candidate, and what they cost.

    Found by simulation on the candidates' profiles, on the same requests for each; beside it stands what
    dividing the load by peak throughput would have said. A [grid] makes candidates of every combination; what is
    rejected says which constraint binds and by how much; exit code 1 where nothing is left. `workbench init plan`
    writes a commented example.

    \b
    Example:
      workbench init plan && workbench plan plan.toml
      workbench plan plan.toml --min-quality tiny_code=0.95
    """
    from workbench.flows.plan import plan_file
    from workbench.flows.quality_plan import asked_for
    from workbench.paths import shown, stamped

    folder = out or stamped("plan")
    least, quality = asked_for(min_quality, quality_table)
    found = plan_file(plan_path, folder, on_candidate=lambda name: note(f"simulate candidate {name} ..."),
                      min_quality=least, quality=quality)
    emit(found, as_json, lambda: _text(found, shown(folder / "plan.json")))
    if found["choice"] is None:
        raise SystemExit(1)


def plan_table(found: dict[str, Any]) -> Any:
    """One row a candidate, then why some failed, the break-even and the answer."""
    from rich.console import Group
    from rich.table import Table

    table = Table("candidate", "replicas", "divided says", "inside the SLO", "p95 TTFT", "p95 TPOT", "USD/h",
                  "USD per 1M input", "1M output", "1M total", "one replica carries", box=None, padding=(0, 1))
    for item in found["candidates"]:
        table.add_row(*_row(item))
    lines = [f"{escape(item['name'])}: {escape(item['rejected'])}." for item in found["candidates"] if item["rejected"]]
    lines += [f"{escape(item['name'])}: {escape(item['quality_beware'])}." for item in found["candidates"]
              if item["quality_beware"]]
    lines += [*_ranges(found), *_prices(found)]
    return Group(table, "", _pareto(found["pareto"]), "", *lines, escape(found["answer"]))


def _pareto(front: list[dict[str, Any]]) -> Any:
    """What no other option beats in cost, attainment and quality."""
    from rich.table import Table

    table = Table("Pareto: candidate", "replicas", "USD/h", "inside the SLO", "quality", "keeps the promise", box=None,
                  padding=(0, 1))
    for one in front:
        table.add_row(escape(one["name"]), str(one["replicas"]), f"{one['usd_per_hour']:.3g}",
                      f"{one['attainment_frac']:.1%}", "n/a" if one["quality"] is None else f"{one['quality']:g}",
                      "yes" if one["met"] else "no")
    return table


def _row(item: dict[str, Any]) -> list[str]:
    from workbench.cli.tables import number

    knee, divided = item["knee"], item["divided"]["replicas"]
    head = [escape(item["name"]), str(item["replicas"] or "none"), str(divided or "n/a")]
    carries = f"{knee['rate_rps']:.3g} requests/s" if knee else "n/a"
    if item["at_load"] is None:
        return [*head, "", "", "", "", "", "", "", carries]
    held, cost, p95 = item["at_load"]["attainment_frac"], item["cost"], item["at_load"]["p95"]
    return [
        *head, f"{held['mean']:.1%} ({held['low']:.1%} to {held['high']:.1%})",
        number(p95["ttft_s"], "s"), number(p95["tpot_s"], "s"), f"{cost['usd_per_hour']:.3g}",
        *(_usd(cost[f"usd_per_million_{which}_tok"]) for which in ("input", "output", "total")), carries,
    ]


def _ranges(found: dict[str, Any]) -> list[str]:
    """Where a simulation asked its profile for what was never measured."""
    lines = []
    for item in found["candidates"]:
        asked = (item["at_load"] or {}).get("outside_range", {})
        if asked.get("outside"):
            where = ", ".join(f"{key} {value}" for key, value in asked["furthest"].items())
            lines.append(f"{escape(item['name'])}: {asked['outside_frac']:.1%} of the iterations lie outside what its "
                         f"profile measured ({escape(where or ', '.join(asked['fields']))}).")
        elif asked.get("stated") is False:
            lines.append(f"{escape(item['name'])}: its profile states no measured range.")
    return lines


def _prices(found: dict[str, Any]) -> list[str]:
    """Break-even of the choice, and a warning for every price that is over a year old."""
    lines = []
    chosen = found["choice"]
    if chosen and chosen["break_even"] and chosen["break_even"]["rate_rps"] is not None:
        even = chosen["break_even"]
        beyond = " (more than this fleet carries)" if even["reachable"] is False else ""
        lines.append(
            f"Break-even with {escape(found['api']['name'])}: {even['rate_rps']:.3g} requests/s, "
            f"{even['monthly_total_tok']:.3g} tokens a month{beyond}; below it the API is cheaper."
        )
    if found["caveat"]:
        lines.append(f"Mind: {escape(found['caveat'])}.")
    rows = [item["machine"] for item in found["candidates"]] + ([found["api"]] if found["api"] else [])
    stale = dict.fromkeys(f"{row['name']} ({row['as_of']})" for row in rows if row["stale"])
    if stale:
        lines.append(f"Prices older than a year: {escape(', '.join(stale))}; check them.")
    return lines


def _usd(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _text(found: dict[str, Any], place: str) -> Any:
    from rich.console import Group

    return Group(plan_table(found), f"Written: {escape(place)}")
