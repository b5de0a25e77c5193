"""Chapter 14: who costs what, by which key it is shared out, and how well the next day is foreseen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workbench.adapters.usage_store import Fact, UsageStore
from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.control.money.usage import Usage
from workbench.economics.capacity_spec import ForecastSpec
from workbench.errors import Failure
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.flows.forecast import backtest, forecasters
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval

PUSD = 1e-12
SLICE_NS = 5 * 10**9
SEASON, DAYS = 24, 21  # hours, days


@dataclass(frozen=True)
class Books:
    """The facts of one run in a store; USD by tenant under each key of sharing."""

    store: UsageStore
    kind: str
    requests: int
    shares_usd: Mapping[str, Mapping[str, float]]  # key -> tenant -> USD


def books(quick: bool) -> Books:
    """A run of the whole platform, one seed, its answered requests as usage facts."""
    text = playing.shipped("platform")
    run = playing.play({"p": text.replace("duration_s = 60", "duration_s = 30") if quick else text}, (1,)).runs["p"][0]
    log = run.log.where(run.log.is_ok)
    columns = [log.text(name) for name in ("request_id", "tenant", "model")]
    figures = [log.ints(name, 0) for name in ("end_ns", "prompt_tok", "output_tok", "cached_tok", "cost_pusd",
                                              "price_pusd")]
    facts = [Fact(Usage(str(key), int(end), str(tenant), str(model), int(prompt), int(output), int(cached), int(cost)),
                  int(price))
             for key, tenant, model, end, prompt, output, cached, cost, price in zip(*columns, *figures, strict=True)]
    store, kind = _store()
    store.add(facts)
    rows = store.by("tenant")
    whole = sum(row.cost_pusd for row in rows) * PUSD
    weights = {"engine time": [row.cost_pusd for row in rows],
               "tokens": [row.prompt_tok + row.output_tok for row in rows], "requests": [row.requests for row in rows]}
    shares = {key: {row.tenant: whole * weight / sum(each) for row, weight in zip(rows, each, strict=True)}
              for key, each in weights.items()}
    return Books(store, kind, len(facts), shares)


def _store() -> tuple[UsageStore, str]:
    try:
        import duckdb
    except ImportError as missing:
        raise Failure("this chapter asks DuckDB: pip install duckdb") from missing
    from workbench.adapters.usage_store_duckdb import DuckDbUsage

    return DuckDbUsage(duckdb.connect(), SLICE_NS), "DuckDB, in memory"


def query_table(found: Books) -> Table:
    """By tenant and model: what it used, what it cost us, what it pays, what is left."""
    rows = tuple(
        (row.tenant, row.model, f"{row.requests:,}", f"{row.prompt_tok + row.output_tok:,}",
         f"{row.cost_pusd * PUSD:.4f}", f"{row.price_pusd * PUSD:.4f}",
         percent(row.margin_pusd / row.price_pusd) if row.price_pusd else "n/a")
        for row in found.store.by("tenant", "model"))
    return Table(("tenant", "model", "requests", "tokens", "cost (USD)", "price (USD)", "margin of the price"), rows,
                 f"Simulated, n = {found.requests} answered requests, seed 1; asked of {found.kind}. Cost is the whole "
                 "fleet's, idle time included.")


def spend_chart(found: Books) -> Chart:
    """What each tenant's bill has grown to."""
    by_tenant: dict[str, list[tuple[float, float]]] = {}
    for row in found.store.spent():
        by_tenant.setdefault(row.tenant, []).append((row.slice_ns / 1e9, row.so_far_pusd * PUSD))
    series = tuple(Series(tenant, tuple(x for x, _ in points), tuple(y for _, y in points), "simulated", "steps", i)
                   for i, (tenant, points) in enumerate(by_tenant.items()))
    return Chart("spend", "time (s)", (Panel("billed so far (USD)", series),),
                 "What a dashboard draws against a budget: each tenant's bill, slice by slice.",
                 f"n = {found.requests} answered requests, seed 1; source: {found.kind}",
                 "Steps over time, one line for each tenant: the amount billed so far.")


def sharing_chart(found: Books) -> Chart:
    tenants = tuple(next(iter(found.shares_usd.values())))
    series = tuple(Series(f"by {key}", tenants, tuple(share[name] for name in tenants), "simulated", "bars", i)
                   for i, (key, share) in enumerate(found.shares_usd.items()))
    return Chart("sharing", "tenant", (Panel("its part of the fleet's cost (USD)", series),),
                 "The same bill of the fleet, shared out by the time in an engine, by tokens, or by requests.",
                 f"n = {found.requests} answered requests, seed 1",
                 "Bars for each tenant: its part of the cost under three keys of sharing.", tenants)


def most_moved(found: Books) -> tuple[str, float]:
    """The tenant whose part changes most when requests count instead of engine time, and by which factor."""
    time, requests = found.shares_usd["engine time"], found.shares_usd["requests"]
    return max(((name, requests[name] / time[name]) for name in time), key=lambda item: abs(np.log(item[1])))


@dataclass(frozen=True)
class Foreseen:
    """Mean absolute error a day ahead (share of the mean) by forecaster; `floor` is the noise that none can beat."""

    errors: Mapping[str, Interval]
    floor: Interval
    seeds: int


def foresee(mean_per_h: float, growth_per_week: float, seeds: int, quick: bool) -> Foreseen:
    """Drawn hourly counts with a day's shape and growth. Raises UsageError."""
    within("mean_per_h", mean_per_h, 1.0, 1e6)
    within("growth_per_week", growth_per_week, -0.9, 10.0)
    within("seeds", seeds, 2, 50)
    spec = ForecastSpec(file="drawn", season_slots=SEASON)
    errors: dict[str, list[float]] = {}
    floors = []
    for seed in range(1, (2 if quick else seeds) + 1):
        hours = np.arange((5 if quick else DAYS) * SEASON)
        shape = 1 + 0.6 * np.sin(2 * np.pi * (hours - 9) / SEASON)
        means = mean_per_h * shape * (1 + growth_per_week) ** (hours / (7 * SEASON))
        series = np.random.default_rng(seed).poisson(means).astype(float)
        late = slice(3 * SEASON, None)
        floors.append(float(np.abs(series[late] - means[late]).mean() / series[late].mean()))
        for name, forecaster in forecasters(spec).items():
            missed = np.abs(backtest(forecaster, list(series), SEASON, SEASON))
            errors.setdefault(name, []).append(float(missed.mean() / series[late].mean()))
    return Foreseen({name: t_interval(np.array(each)) for name, each in errors.items()}, t_interval(np.array(floors)),
                    len(floors))


def forecast_chart(found: Foreseen) -> Chart:
    names = tuple(found.errors)
    rows = [found.errors[name] for name in names]
    return Chart("forecast", "forecaster", (Panel("mean error a day ahead (share of the mean)", (
        Series("error", names, tuple(row.mean for row in rows), "simulated", "points", 0,
               tuple(max(row.low, 0.0) for row in rows), tuple(row.high for row in rows)),),
        level=found.floor.mean, level_label="the noise itself"),),
        "Each forecast was made with nothing but what had come; no forecast can be better than the noise.",
        f"n = {found.seeds} drawn series, seeds 1 to {found.seeds}, whiskers are 95 % intervals of the mean",
        "Marks for each forecaster: its mean error a day ahead, above the level of the noise itself.", names)


def numbers(found: Books, foreseen: Foreseen) -> Results:
    return Results((
        *(Result(f"cost_usd_{tenant}_by_{key.replace(' ', '_')}", usd, "USD", "simulated", found.requests)
          for key, share in found.shares_usd.items() for tenant, usd in share.items()),
        *(Result(f"forecast_error_frac_{name.replace(' ', '_')}", row.mean, "", "simulated", row.n, row.low, row.high)
          for name, row in foreseen.errors.items()),
        Result("forecast_noise_frac", foreseen.floor.mean, "", "simulated", foreseen.floor.n, foreseen.floor.low,
               foreseen.floor.high),
    ))


def answer(found: Books, foreseen: Foreseen) -> Prose:
    tenant, factor = most_moved(found)
    best = min(foreseen.errors, key=lambda name: foreseen.errors[name].mean)
    row = foreseen.errors[best]
    return Prose(
        f"Shared out by requests instead of by engine time, **{tenant}** would be charged {number(factor, 3)} times "
        f"what it costs; and a day ahead {best} errs by {percent(row.mean)} ({number(100 * row.low)} to "
        f"{number(100 * row.high)}) of the mean, where the noise itself is {percent(foreseen.floor.mean)}."
    )
