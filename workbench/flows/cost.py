"""What a load costs: simulated over the day, then priced rented, owned, half of each, or by an API."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from workbench import __version__
from workbench.config import parse, read_text, told_of
from workbench.economics.break_even import api_usd_per_hour
from workbench.economics.cost_spec import CostSpec, OwnedWay
from workbench.economics.token_split import TokenWork, naive_usd_per_million, split
from workbench.economics.unit_cost import HOURS_PER_MONTH, unit_cost
from workbench.files import write_json
from workbench.flows import ways
from workbench.flows.load_levels import Day, OnLevel, simulate_day
from workbench.flows.ways import Bill, Stale
from workbench.flows.work import token_work
from workbench.hardware.prices import ApiPrice
from workbench.stats.intervals import t_interval

KIND, SCHEMA = "workbench.cost", 1
Priced = Callable[[Sequence[int], float], Bill]  # machines in each part of the day, time busy


def cost_file(path: Path, out: Path | None = None, on_level: OnLevel | None = None) -> dict[str, Any]:
    """Read a cost file, answer it, and write `out/cost.json` where `out` is given."""
    with told_of(path.name):
        found = cost(parse(CostSpec, read_text(path), path.name), path.parent, on_level=on_level, name=path.name)
    if out is not None:
        write_json(out / "cost.json", found)
    return found


def cost(spec: CostSpec, base: Path, *, today: date | None = None, on_level: OnLevel | None = None,
         name: str = "cost") -> dict[str, Any]:
    """Shape: docs/economics/cost.md. `base` is the folder that profile paths are relative to."""
    stale = Stale(today or datetime.now(UTC).date())
    bills = _bills(spec, stale)  # all errors before any work
    api = spec.api.price(stale.today) if spec.api is not None else None
    if api is not None:
        stale.look(api)
    day = simulate_day(spec, base, name, on_level)
    work, busy = token_work(day), float(np.mean([one.trial.busy_frac for one in day.levels]))
    rows = [_row(title, kind, priced, busy, day, spec, work) for title, kind, priced in bills]
    cheapest = min(rows, key=lambda row: row["usd_per_hour"])
    paid = None if api is None or spec.api is None else api_usd_per_hour(
        day.load, api.usd_per_million_input_tok, api.usd_per_million_output_tok, cached_frac=_cached_frac(day),
        usd_per_million_cached_tok=spec.api.usd_per_million_cached_tok)
    return {
        "kind": KIND, "schema": SCHEMA, "workbench": __version__, "title": spec.title, "origin": "simulated",
        "load": asdict(day.load) | {"rates_rps": list(day.rates_rps), "users": spec.load.users,
                                    "seeds": list(spec.seeds)},
        "slo": spec.slo.model_dump(exclude_none=True), "profile_source": day.profile.source,
        "profile_sha256": day.profile.sha256, "day": _day(day, spec, busy), "ways": rows,
        "api": None if api is None or paid is None else _api(api, paid, day, spec),
        "prices": stale.used, "choice": cheapest["name"], "answer": _answer(cheapest, paid, spec),
    }


def _bills(spec: CostSpec, stale: Stale) -> list[tuple[str, str, Priced]]:
    """(name, kind, how its bill is found) of every way, and of both ways to rent."""
    rents = {way.name: ways.rent_of(way, stale) for way in spec.way if not isinstance(way, OwnedWay)}
    found: list[tuple[str, str, Priced]] = []
    for way in spec.way:
        if isinstance(way, OwnedWay):
            burst_usd = rents[way.burst] if way.burst else None
            bill = partial(ways.owned, what=ways.owned_of(way, stale), burst_usd=burst_usd)
            found.append((way.name, "hybrid" if way.burst else "owned", bill))
        elif way.kind == "reserved":
            full_usd = ways.rent_of(way.model_copy(update={"discount_frac": 0.0}), stale)
            found.append((way.name, way.kind, partial(ways.reserved, rent_usd=rents[way.name], full_usd=full_usd)))
        else:
            found += [(f"{way.name}, {mode}", way.kind, partial(
                ways.rented, rent_usd=rents[way.name], scaled=mode == "scaled", cold_start_s=spec.serves.cold_start_s))
                for mode in ("fixed", "scaled")]
    return found


def _row(
    name: str, kind: str, priced: Priced, busy: float, day: Day, spec: CostSpec, work: TokenWork
) -> dict[str, Any]:
    """The plan's bill, what each seed would have needed, and the figure that others print."""
    bill = priced(ways.machines_of(day.replicas(), spec), busy)
    seeds = [priced(ways.machines_of(day.replicas(seed), spec), busy).usd_per_hour for seed in range(len(spec.seeds))]
    spread, load = t_interval(np.array(seeds)), day.load
    cached = _cached_frac(day)
    parts = split(bill.usd_per_hour, load.input_tok_per_hour * (1 - cached), load.input_tok_per_hour * cached,
                  load.output_tok_per_hour, work)
    hour = priced([1] * len(day.rates_rps), busy).usd_per_hour / spec.serves.replicas_per_machine
    month = bill.usd_per_hour * HOURS_PER_MONTH
    return {
        "name": name, "kind": kind, "usd_per_hour": bill.usd_per_hour,
        "seeds_usd_per_hour": {"mean": spread.mean, "low": spread.low, "high": spread.high, "n": spread.n},
        "usd_per_month": month, "usd_per_million_tok": asdict(parts),
        "usd_per_million_output_tok_whole": unit_cost(bill.usd_per_hour, load).usd_per_million_output_tok,
        "usd_per_thousand_requests": unit_cost(bill.usd_per_hour, load).usd_per_thousand_requests,
        "usd_per_user_month": month / spec.load.users if spec.load.users else None,
        "naive_usd_per_million_output_tok": naive_usd_per_million(
            hour, day.peak_rps * load.output_tok_mean, spec.guessed_utilisation_frac),
        "bound_usd_per_million_output_tok": naive_usd_per_million(hour, day.peak_rps * load.output_tok_mean, 1.0),
        "machines_max": bill.machines_max, "machine_hours_per_day": bill.machine_hours_per_day,
        "kwh_per_month": bill.kwh_per_month, "kg_co2_per_month": bill.kg_co2_per_month, "note": bill.note,
    }


def _cached_frac(day: Day) -> float:
    """Of the prompts' tokens, over the parts of the day."""
    return float(np.mean([one.trial.cached_frac for one in day.levels]))


def _api(api: ApiPrice, paid: float, day: Day, spec: CostSpec) -> dict[str, Any]:
    """The same figures as of a way; its prices are what it asks, not what a token costs it."""
    month = paid * HOURS_PER_MONTH
    return {
        "name": api.name, "usd_per_hour": paid, "usd_per_month": month,
        "usd_per_million_tok": {
            "input": api.usd_per_million_input_tok, "output": api.usd_per_million_output_tok,
            "cached": spec.api.usd_per_million_cached_tok if spec.api is not None else None},
        "usd_per_thousand_requests": unit_cost(paid, day.load).usd_per_thousand_requests,
        "usd_per_user_month": month / spec.load.users if spec.load.users else None,
    }


def _day(day: Day, spec: CostSpec, busy: float) -> dict[str, Any]:
    """Replicas over the day, and the utilisation that follows: never an input."""
    needed, spare = day.replicas(), spec.serves.spare_replicas
    paid = {"fixed": max(needed) + spare, "scaled": sum(needed) / len(needed) + spare}
    return {
        "replicas": list(needed), "spare_replicas": spare, "peak_rps_of_one": day.peak_rps, "busy_frac": busy,
        "utilisation_frac": {mode: day.load.rate_rps / (n * day.peak_rps) for mode, n in paid.items()},
        "divided_replicas": max(day.rates_rps) / day.peak_rps,
        "levels": [one.trial.as_dict() for one in {one.rate_rps: one for one in day.levels}.values()],
    }


def _answer(best: dict[str, Any], api_usd: float | None, spec: CostSpec) -> str:
    spread = best["seeds_usd_per_hour"]
    text = (f"{best['name']} is the cheapest way: {best['usd_per_hour']:.3g} USD/h planned (seeds alone need "
            f"{spread['low']:.3g} to {spread['high']:.3g}), {best['usd_per_million_output_tok_whole']:.3g} USD per "
            f"million output tokens with everything on them; dividing by {spec.guessed_utilisation_frac:.0%} of peak "
            f"would have said {best['naive_usd_per_million_output_tok']:.3g} (simulated)")
    if api_usd is not None:
        text += f"; the API would take {api_usd:.3g} USD/h"
    return text + "."
