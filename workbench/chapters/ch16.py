"""Chapter 16: is it a business? The shipped example with its market changed: cash, break-even, what moves it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.chapters.about import within
from workbench.config import parse, read_text
from workbench.economics.business_spec import BusinessSpec, UncertainSpec
from workbench.errors import UsageError
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.flows.business import business, write_sheets
from workbench.paths import data
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, wilson

QUICK_DRAWS = 100
MILLION = 1e6
Found = Mapping[str, Any]


def spec_of(new_users_per_month: float, churn_frac: float, pro_usd_per_month: float, draws: int,
            quick: bool) -> BusinessSpec:
    """examples/business.toml with another market. Raises UsageError."""
    within("new_users_per_month", new_users_per_month, 0, 1e6)
    within("churn_frac", churn_frac, 0.001, 1)
    within("pro_usd_per_month", pro_usd_per_month, 0, 10_000)
    within("draws", draws, 100, 100_000)
    path = data("examples") / "business.toml"
    spec = parse(BusinessSpec, read_text(path), path.name)
    market = spec.market.model_copy(update={"new_users_per_month": new_users_per_month, "churn_frac": churn_frac})
    tiers = tuple(one.model_copy(update={"usd_per_month": pro_usd_per_month}) if one.name == "pro" else one
                  for one in spec.tier)
    unsure = tuple(_around(one, spec.market.churn_frac, churn_frac) if one.name == "churn_frac" else one
                   for one in spec.uncertain)
    return spec.model_copy(update={"market": market, "tier": tiers, "uncertain": unsure,
                                   "draws": QUICK_DRAWS if quick else draws})


def _around(one: UncertainSpec, was: float, now: float) -> UncertainSpec:
    """As wide in proportion around another most likely value; a fraction stays one."""
    return one.model_copy(update={"low": one.low / was * now, "high": min(1.0, one.high / was * now)})


def plan(spec: BusinessSpec) -> Found:
    return business(spec)


def best(found: Found) -> Found:
    """The option that is worth most."""
    row: Found = next(one for one in found["options"] if one["name"] == found["choice"])
    return row


def option_table(found: Found) -> Table:
    rows = []
    for one in found["options"]:
        done = one["outcome"]
        rows.append((one["name"], number(done["npv_usd"] / MILLION), number(done["invested_usd"] / MILLION),
                     "n/a" if done["roi_frac"] is None else percent(done["roi_frac"], 0),
                     number(done["payback_month"], 1), percent(done["gross_margin_frac"]),
                     number(one["break_even_users"], 4), number(one["capacity_rps"])))
    old = [name for name, row in found["prices"].items() if row["stale"]]
    stale = f" Prices older than a year: {', '.join(old)}." if old else ""
    return Table(("option", "worth (million USD)", "invested", "return on it", "in the black from month",
                  "gross margin", "break-even users", "carries (requests/s)"), tuple(rows),
                 f"Derived, {found['months']} months; what a machine carries is simulated (source in the example). "
                 f"n/a: not within these months. n = {len(rows)} options.{stale}")


def cash_chart(found: Found) -> Chart:
    series = tuple(Series(one["name"], tuple(float(line["month"]) for line in one["months"]),
                          tuple(line["cumulative_usd"] / MILLION for line in one["months"]), "derived", "line", i)
                   for i, one in enumerate(found["options"]))
    return Chart(
        "cash", "month (number)", (Panel("cash since the beginning (million USD)", series),),
        "The same customers on every option. Buying begins deep in the red; in the last month owned machines are sold "
        "at their book value.",
        f"source: examples/business.toml, datasets/prices; n = {found['months']} months, no seed",
        "Lines of cumulated cash over months, one for each way to run the service; owned machines begin in the red.",
    )


def tornado_chart(found: Found) -> Chart:
    bars, planned = best(found)["tornado"], best(found)["outcome"]["npv_usd"]
    names = tuple(bar["name"] for bar in bars)

    def moved(end: str) -> tuple[float, ...]:
        return tuple((bar[end] - planned) / MILLION for bar in bars)

    return Chart(
        "tornado", "input",
        (Panel("change of net present value (million USD)", (
            Series("input at its low end", names, moved("at_low"), "derived", "bars", 0),
            Series("at its high end", names, moved("at_high"), "derived", "bars", 1)), 0.0, "as planned"),),
        f"One input at a time, widest first; {found['choice']}: {number(planned / MILLION)} million USD as planned.",
        f"source: examples/business.toml; n = {len(bars)} inputs, one value at each end", "Pairs of bars for each "
        "uncertain input: how far the net present value moves with it at its low and at its high end.", names,
    )


def chance_chart(found: Found) -> Chart:
    rows = {_short(one["name"]): one["monte_carlo"] for one in found["options"]}
    names, n = tuple(rows), next(iter(rows.values()))["n"]
    lost = {name: losses(row) for name, row in rows.items()}
    return Chart(
        "chances", "option",
        (Panel("net present value (million USD)", (Series(
            "median, 10th to 90th percentile", names, tuple(row["p50"] / MILLION for row in rows.values()), "simulated",
            "points", 0, tuple(row["p10"] / MILLION for row in rows.values()),
            tuple(row["p90"] / MILLION for row in rows.values())),)),
         Panel("share of draws that lose money", (Series(
             "losing, 95 % Wilson interval", names, tuple(row.mean for row in lost.values()), "simulated", "points", 1,
             tuple(row.low for row in lost.values()), tuple(row.high for row in lost.values())),))),
        "All uncertain inputs at once, those that go together drawn together.",
        f"n = {n} draws, seed of examples/business.toml", "Two panels by option: the median of the drawn values with "
        "its percentiles, and the share of draws that lose money with its interval.", names,
    )


def losses(row: Found) -> Interval:
    return wilson(round(row["loss_frac"] * row["n"]), row["n"])


def tier_table(found: Found) -> Table:
    rows = tuple((one["name"], number(one["revenue_usd"] / MILLION), number(one["cost_usd"] / MILLION),
                  percent(one["gross_frac"])) for one in found["tiers"])
    return Table(("tier", "revenue (million USD)", "its cost", "gross margin"), rows,
                 f"Derived, {found['choice']}, over {found['months']} months: machines shared by engine time. n = "
                 f"{len(rows)} tiers.")


def sheet_table(spec: BusinessSpec, found: Found) -> Table | Prose:
    """The workbook is written, opened again and counted; it is not kept."""
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        try:
            write_sheets(spec, dict(found), Path(folder))
        except UsageError as error:
            return Prose(f"No spreadsheet was made: {error}.")
        from openpyxl import load_workbook  # there, since one was written

        book = load_workbook(Path(folder) / "business.xlsx")
        rows = tuple((sheet.title, str(sheet.max_row), str(sum(
            cell.data_type == "f" for row in sheet.iter_rows() for cell in row))) for sheet in book.worksheets)
    return Table(("sheet", "rows", "live formulas"), rows,
                 "Derived: the workbook that `workbench business business.toml --out DIR` keeps. Change an input and "
                 f"every month follows; tornado and Monte Carlo are values. n = {len(rows)} sheets.")


def numbers(found: Found) -> Results:
    items = []
    for one in found["options"]:
        name, chance = one["name"].replace(" ", "_").replace(",", ""), one["monte_carlo"]
        lost = losses(chance)
        items += [
            Result(f"npv_usd_{name}", one["outcome"]["npv_usd"], "USD", "derived"),
            Result(f"npv_median_usd_{name}", chance["p50"], "USD", "simulated", chance["n"], chance["p10"],
                   chance["p90"]),
            Result(f"loss_frac_{name}", lost.mean, "", "simulated", lost.n, lost.low, lost.high),
            Result(f"break_even_users_{name}", one["break_even_users"], "users", "derived"),
        ]
    return Results(tuple(items))


def answer(found: Found) -> Prose:
    row = best(found)
    chance, lost, widest = row["monte_carlo"], losses(row["monte_carlo"]), row["tornado"][0]["name"]
    users = row["break_even_users"]
    pays = "no number of users pays for it" if users is None else f"it pays from {users:,.0f} constant users on"
    return Prose(
        f"With this made-up market {row['name']} is worth most: {number(row['outcome']['npv_usd'] / MILLION)} million "
        f"USD as planned, {number(chance['p10'] / MILLION)} to {number(chance['p90'] / MILLION)} for eight draws in "
        f"ten, and {percent(lost.mean)} of {lost.n:,} draws lose money ({percent(lost.low)} to {percent(lost.high)}); "
        f"{pays}, and `{widest}` moves it most."
    )


def _short(name: str) -> str:
    """For an axis: without what every option shares."""
    return name.partition(",")[0].replace(" H100", "").replace(" 4090", "")
