"""What the fleets cost per million tokens, the denominator always named, and the API beside them."""

from workbench.chapters.capacity.fleet import COMMAND
from workbench.chapters.capacity.inputs import Inputs, missing
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.report.prose import Prose

DENOMINATORS = ("input", "output", "total")


def cost_table(data: Inputs) -> Table | Prose:
    if data.plan is None:
        return missing("plan.json", COMMAND)
    rows = [
        (str(item["name"]), str(item["replicas"]), str(item["machines"]), str(item["machine"]["name"]),
         number(item["machine"]["usd_per_hour"]), number(item["cost"]["usd_per_hour"]),
         *(number(item["cost"][f"usd_per_million_{which}_tok"]) for which in DENOMINATORS),
         number(item["break_even"]["rate_rps"]) if item["break_even"] else "n/a")
        for item in data.plan["candidates"] if item["met"]
    ]
    api = data.plan["api"]
    if api is not None and rows:
        paid = _api_usd_per_hour(data)
        rows.append((f"{api['name']} (API)", "", "", "", "", number(paid), number(api["usd_per_million_input_tok"]),
                     number(api["usd_per_million_output_tok"]), "", ""))
    columns = ("candidate", "replicas", "machines", "machine", "USD/h each", "USD/h in all",
               "USD per 1M input tok", "USD per 1M output tok", "USD per 1M total tok", "break-even (requests/s)")
    return Table(columns, tuple(rows), f"Derived from simulated capacity and listed prices. {_sources(data)} A fleet's "
                 "three figures each put the whole cost on one denominator: they are not to be added. An API charges "
                 f"input and output side by side. {_caveat(data)}".rstrip())


def cost_chart(data: Inputs) -> Chart | Prose:
    """USD per hour at the load: each fleet, and the API."""
    if data.plan is None:
        return missing("plan.json", COMMAND)
    able = [item for item in data.plan["candidates"] if item["met"]]
    if not able:
        return Prose("No candidate keeps the SLO, so there is no cost to draw.")
    names = [str(item["name"]) for item in able]
    values = [item["cost"]["usd_per_hour"] for item in able]
    api = data.plan["api"]
    level = _api_usd_per_hour(data) if api is not None else None
    return Chart(
        "cost", "candidate", (Panel("cost at the load (USD per hour)", (
            Series("fleet", tuple(names), tuple(values), "derived", "bars", 0),), level,
            f"{api['name']} (API, vendor price)" if api is not None else ""),),
        f"What {data.plan['load']['rate_rps']:.3g} requests/s cost by the hour.",
        f"n = {len(data.plan['load']['seeds'])} seeds; {_sources(data).rstrip('.')}",
        "Bars of cost per hour, one a candidate, with a dashed line for the API.", tuple(names),
    )


def _api_usd_per_hour(data: Inputs) -> float | None:
    assert data.plan is not None
    known = (item["break_even"] for item in data.plan["candidates"])
    return next((even["api_usd_per_hour"] for even in known if even), None)


def _caveat(data: Inputs) -> str:
    assert data.plan is not None
    said = data.plan["caveat"]
    return f"Mind: {said}." if said else ""


def _sources(data: Inputs) -> str:
    """Where the prices come from, with their dates; old ones are called old."""
    assert data.plan is not None
    rows = [item["machine"] for item in data.plan["candidates"]] + ([data.plan["api"]] if data.plan["api"] else [])
    said = dict.fromkeys(
        f"{row['name']}: {row['source']}, {row['as_of_kind']} {row['as_of']}{', over a year old' * row['stale']}"
        for row in rows
    )
    return f"Prices: {'; '.join(said)}."
