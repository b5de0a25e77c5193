"""A business plan: every option month by month, what is uncertain, and the workbook of it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.config import parse, read_text, told_of
from workbench.economics.business import Inputs, as_rows, break_even_users, months, npv, outcome
from workbench.economics.business_spec import BusinessSpec, OptionSpec
from workbench.economics.margins import margins
from workbench.economics.sensitivity import Uncertain, correlations, monte_carlo, tornado
from workbench.errors import UsageError
from workbench.files import write_json
from workbench.flows.ways import Stale
from workbench.hardware.owning import server
from workbench.hardware.prices import find, machines
from workbench.runlog.table import RunLog

KIND, SCHEMA = "workbench.business", 1
ALL_OWNED = 1e9  # more machines than anybody buys


def business_file(path: Path, out: Path | None = None, *, today: date | None = None) -> dict[str, Any]:
    """Read a business file and answer it; `out` gets business.json, business.xlsx and months.csv."""
    spec = parse(BusinessSpec, read_text(path), path.name)
    with told_of(path.name):
        found = business(spec, today=today)
    if out is not None:
        write_json(out / "business.json", found)
        write_sheets(spec, found, out)
    return found


def business(spec: BusinessSpec, *, today: date | None = None) -> dict[str, Any]:
    """Shape: docs/economics/business.md."""
    stale = Stale(today or datetime.now(UTC).date())
    given = {option.name: inputs_of(spec, option, stale) for option in spec.option}
    options = [_option(spec, option, given[option.name]) for option in spec.option]
    best = max(options, key=lambda row: row["outcome"]["npv_usd"])
    return {
        "kind": KIND, "schema": SCHEMA, "workbench": __version__, "title": spec.title, "origin": "derived",
        "months": spec.months, "tiers": _tiers(spec, given[best["name"]], best), "options": options,
        "prices": stale.used, "choice": best["name"],
        "answer": _answer(spec, best),
    }


def inputs_of(spec: BusinessSpec, option: OptionSpec, stale: Stale) -> Inputs:
    """The file's numbers with prices looked up: one set an option."""
    market, costs = spec.market, spec.costs
    usd_per_hour, server_usd, power_kw = option.usd_per_hour or 0.0, option.server_usd or 0.0, option.power_kw or 0.0
    if option.machine is not None and option.kind != "owned":
        row = find(machines(), option.machine, "machine")
        stale.look(row)
        usd_per_hour = row.usd_per_hour
    if option.server is not None and option.kind != "rented":
        bought = server(option.server)
        stale.look(bought)
        server_usd, power_kw = bought.usd, option.power_kw or bought.power_kw
    most = {"owned": ALL_OWNED, "rented": 0.0, "hybrid": float(option.owned_base)}[option.kind]
    return Inputs(
        **market.model_dump(), subscription_usd_per_user=sum(one.share_frac * one.usd_per_month for one in spec.tier),
        usage_usd_per_user=sum(one.share_frac * one.usage_usd_per_user for one in spec.tier),
        requests_per_user=sum(one.share_frac * one.requests_per_month for one in spec.tier),
        capacity_rps=option.capacity_rps, owned_most=most, usd_per_hour=usd_per_hour,
        rented_hours_frac=option.rented_hours_frac, server_usd=server_usd, power_kw=power_kw, **costs.model_dump(),
    )


def _option(spec: BusinessSpec, option: OptionSpec, given: Inputs) -> dict[str, Any]:
    lines = months(given, spec.months)
    uncertain = [Uncertain(one.name, one.low, _mode(given, one.name), one.high) for one in spec.uncertain]
    together = {pair.names: pair.correlation for pair in spec.together}
    correlations(uncertain, together)  # contradictions are found before any work

    def value(change: Mapping[str, float]) -> float:
        return npv(given.but(**change), spec.months)

    return {
        "name": option.name, "kind": option.kind, "capacity_rps": option.capacity_rps,
        "capacity_source": option.capacity_source, "inputs": asdict(given), "outcome": asdict(outcome(lines)),
        "break_even_users": break_even_users(given, spec.months), "months": as_rows(lines),
        "tornado": [asdict(bar) | {"span": bar.span} for bar in tornado(uncertain, value)],
        "monte_carlo": asdict(monte_carlo(uncertain, together, value, spec.draws, spec.seed)) if uncertain else None,
    }


def _mode(given: Inputs, name: str) -> float:
    given.but(**{name: 0.0})  # an unknown name is refused there
    return float(getattr(given, name))


def _tiers(spec: BusinessSpec, given: Inputs, best: dict[str, Any]) -> list[dict[str, Any]]:
    """Gross margin of each tier over the months: costs of machines by tokens' share of the requests' work."""
    lines = best["months"]
    users = sum(line["users"] for line in lines)
    machines_usd = ("rent_usd", "power_usd", "housing_usd", "depreciation_usd")
    shared = sum(line[key] for line in lines for key in machines_usd)
    work = {one.name: one.share_frac * one.requests_per_month * (
        one.prompt_tok * (1 - one.cached_frac) * spec.input_work_frac + one.output_tok) for one in spec.tier}
    total = sum(work.values())
    found = []
    for one in spec.tier:
        revenue = users * one.share_frac * (one.usd_per_month + one.usage_usd_per_user)
        fees = revenue * given.payment_fee_frac + users * one.share_frac * given.support_usd_per_user
        cost = fees + (shared * work[one.name] / total if total else 0.0)
        found.append({"name": one.name, "revenue_usd": revenue, "cost_usd": cost, "gross_usd": revenue - cost,
                      "gross_frac": (revenue - cost) / revenue if revenue else None})
    return found


def margins_of(log: RunLog) -> dict[str, list[dict[str, Any]]]:
    """Of a run log with prices and costs: exact sums by tenant and by tier."""
    price, cost = (log.table.column(name).to_pylist() for name in ("price_pusd", "cost_pusd"))
    if None in price or None in cost:
        raise UsageError("the run log has no price_pusd or cost_pusd; a scenario with billing and "
                         "fleet.price_usd_per_hour writes both")
    found = {}
    for by in ("tenant", "tier"):
        rows = margins(zip(log.table.column(by).to_pylist(), price, cost, strict=True))
        found[by] = [asdict(one) | {"gross_pusd": one.gross_pusd,
                                    "gross_frac": None if one.gross_frac is None else float(one.gross_frac)}
                     for one in rows]
    return found


def write_sheets(spec: BusinessSpec, found: dict[str, Any], out: Path) -> None:
    """The workbook with live formulas, and the months of every option as CSV."""
    try:
        from workbench.economics import spreadsheet
    except ModuleNotFoundError as error:
        if error.name != "openpyxl":
            raise
        raise UsageError("a spreadsheet needs openpyxl: pip install openpyxl (or leave out --out)") from error
    sources = {name: f"{name}: {row['source']} ({row['as_of']})" for name, row in found["prices"].items()}
    sheets = [spreadsheet.Sheet(option.name, Inputs(**row["inputs"]), _sources(option, sources))
              for option, row in zip(spec.option, found["options"], strict=True)]
    tables = {"Tiers": _table(found["tiers"])}
    tables |= {f"Tornado {row['name']}": _table(row["tornado"]) for row in found["options"] if row["tornado"]}
    chances = [{"option": row["name"], **row["monte_carlo"]} for row in found["options"] if row["monte_carlo"]]
    if chances:
        tables["Monte Carlo"] = _table(chances)
    spreadsheet.write_workbook(out / "business.xlsx", sheets, spec.months, tables)
    spreadsheet.write_csv(out / "months.csv", [
        {"option": row["name"], **line} for row in found["options"] for line in row["months"]])


def _sources(option: OptionSpec, prices: Mapping[str, str]) -> dict[str, str]:
    found = {"capacity_rps": option.capacity_source}
    if option.machine is not None and option.machine in prices:
        found["usd_per_hour"] = prices[option.machine]
    if option.server is not None and option.server in prices:
        found |= dict.fromkeys(("server_usd", "power_kw"), prices[option.server])
    return found


def _table(rows: list[dict[str, Any]]) -> list[list[Any]]:
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def _answer(spec: BusinessSpec, best: dict[str, Any]) -> str:
    done, chance = best["outcome"], best["monte_carlo"]
    text = f"{best['name']} is worth most: {done['npv_usd']:,.0f} USD over {spec.months} months at the cost of capital"
    if done["payback_month"] is not None:
        text += f", paid back in month {done['payback_month']}"
    if chance is not None:
        text += (f"; {chance['loss_frac']:.0%} of {chance['n']} draws lose money (10th to 90th percentile "
                 f"{chance['p10']:,.0f} to {chance['p90']:,.0f})")
    return text + " (derived)."


