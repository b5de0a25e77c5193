"""Chapter 18: own the base and rent the burst: what it costs, and how much a slow start takes away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sims.plane.run import PlaneResult
from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.playing import SECOND, Played, said
from workbench.config import parse, read_text
from workbench.economics.cost_spec import CostSpec
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.cost import cost
from workbench.paths import data
from workbench.report.results import Result

NONE = "no burst"
JUMP_S = 20.0  # when the customers come, in the scenario
WAYS = {"owned", "rented", "hybrid"}


def burst(start_s: float, seeds: int, quick: bool) -> Played:
    """The same crowd on two owned replicas, alone and with up to six rented ones that start so fast, three times as
    fast, half as fast. Raises UsageError."""
    within("seeds", seeds, 2, 20)
    within("burst_start_s", start_s, 0.3, 600.0)
    text = playing.shipped("cold_start_storm")
    starts: tuple[float, ...] = (start_s / 3, start_s, 2 * start_s)
    if quick:
        text, starts = text.replace("duration_s = 70", "duration_s = 40"), (start_s,)
    variants = {NONE: playing.changed(text, ("most = 8\n", "most = 2\n"))}
    variants |= {f"{one:g} s": playing.changed(text, ("cold_start_s = 25.0\n", f"cold_start_s = {one}\n"))
                 for one in starts}
    return playing.play(variants, range(1, (2 if quick else seeds) + 1))


refused = playing.share(("shed",))


def refusing_s(run: PlaneResult) -> float:
    """From the jump until the last request was refused; 0 where none was."""
    ended = run.log.floats("end_ns")[run.log.text("outcome") == "shed"] * SECOND
    return float(ended.max() - JUMP_S) if len(ended) else 0.0


def help_chart(found: Played) -> Chart:
    return Chart(
        "burst", "start of a rented replica",
        (found.panel("share of requests refused", {"refused": refused}, first_colour=1),
         found.panel("refusals go on for (s)", {"until the last refusal": refusing_s}, first_colour=3),
         found.panel("replica-hours paid (h)", {"owned and rented": playing.replica_hours}, first_colour=2)),
        "Three times as many customers come and stay. Two replicas are owned, up to six are rented for the moment; "
        "they help from when they have started.", found.basis,
        "Three panels over the time a rented replica takes to start: the share refused and the length of the refusals "
        "grow with it, the hours paid hardly change.", found.names)


@dataclass(frozen=True)
class Priced:
    """Ways to pay for one day's load, by name: a row of `workbench cost`; and the day."""

    rows: Mapping[str, Mapping[str, Any]]
    day: Mapping[str, Any]
    windows: str


def priced(quick: bool) -> Priced:
    """examples/cost.toml: owned for the peak, rented as needed, and the base owned with the rest rented."""
    path = data("examples") / "cost.toml"
    spec = parse(CostSpec, read_text(path), path.name)
    spec = spec.model_copy(update={"way": tuple(way for way in spec.way if way.name in WAYS), "api": None}
                           | ({"window_s": 4, "levels": 2, "seeds": spec.seeds[:2]} if quick else {}))
    found = cost(spec, path.parent)
    return Priced({row["name"]: row for row in found["ways"]}, found["day"],
                  f"n = {len(spec.seeds)} seeds of {spec.levels} levels")


def cost_table(found: Priced) -> Table:
    rows = tuple((name, number(row["usd_per_hour"]), said(*_spread(row)), row["note"] or "all day")
                 for name, row in found.rows.items())
    return Table(("way", "USD/h, a mean hour", "over the seeds (USD/h)", "machines"), rows,
                 "Derived from replicas that a simulated day needs, one spare included, and from prices of "
                 f"datasets/prices and examples/cost.toml. {found.windows}; in brackets 95 % intervals: "
                 "machines are whole, and seeds that need as many leave no spread.")


def day_chart(found: Priced) -> Chart:
    """What each hour needs, and what of it is owned."""
    needed = [n + found.day["spare_replicas"] for n in found.day["replicas"]]
    own = int(found.rows["hybrid"]["note"].partition(" ")[0])
    hours = tuple(map(float, range(len(needed))))
    return Chart(
        "base", "hour of the day (number)", (Panel("replicas (number)", (
            Series("needed", hours, tuple(map(float, needed)), "simulated", "steps", 0),
            Series("owned", hours, tuple(float(min(n, own)) for n in needed), "derived", "steps", 1)),
            level=float(own), level_label="what it pays to own"),),
        "The replicas that each hour of the day needs; what is above the line is rented by the hour.",
        f"{found.windows}; examples/cost.toml", "Steps over the hours of a day: replicas needed, and the cheapest "
        "number to own as a level line.")


def saved_frac(found: Priced) -> float:
    """Of the bill of owning for the peak, what the mixture saves."""
    return float(1 - found.rows["hybrid"]["usd_per_hour"] / found.rows["owned"]["usd_per_hour"])


def worth_hours(found: Priced) -> float:
    """Hours a day from which on a machine is cheaper to own than to rent by the hour."""
    n = max(found.day["replicas"]) + found.day["spare_replicas"]
    own_usd = found.rows["owned"]["usd_per_hour"] / n
    rent_usd = found.rows["rented, fixed"]["usd_per_hour"] / n
    return float(min(24.0, 24 * own_usd / rent_usd))


def results(found: Priced, played: Played) -> list[Result]:
    return [*(Result(f"usd_per_hour_{name.replace(', ', '_')}", row["usd_per_hour"], "USD/h", "derived",
                     row["seeds_usd_per_hour"]["n"], *_spread(row)[1:]) for name, row in found.rows.items()),
            Result("own_from_hours_a_day", worth_hours(found), "h", "derived"),
            *played.results("burst_refused_frac", "", refused), *played.results("burst_refusing_s", "s", refusing_s)]


def _spread(row: Mapping[str, Any]) -> tuple[float, float, float]:
    held = row["seeds_usd_per_hour"]
    return held["mean"], held["low"], held["high"]

