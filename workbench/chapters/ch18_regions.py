"""Chapter 18: one place or several: what distance costs, whose night is whose day, and a region that is lost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.chapters.about import chosen, within
from workbench.chapters.fleets import bench, silicon
from workbench.config import parse, read_text
from workbench.economics.cost_spec import CostSpec
from workbench.errors import UsageError
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.flows.trial import Bench, Trial
from workbench.paths import data
from workbench.report.results import Result

Floats = NDArray[np.float64]
EARTH_KM = 6371.0  # mean radius, IUGG
FIBRE_KM_PER_S = 204_000.0  # c / 1.468, the group index of fibre by ITU-T G.652
PROFILE = "llama-3.1-8b-h100-tp1-fp8"
REQUESTS = 3000  # a seed


@dataclass(frozen=True, slots=True)
class Place:
    """`east_h`: its standard time, hours before UTC's."""

    latitude: float
    longitude: float
    east_h: int


PLACES = {  # centres of the cities, and their standard time
    "virginia": Place(39.0, -77.5, -5), "oregon": Place(45.6, -121.2, -8), "sao_paulo": Place(-23.5, -46.6, -3),
    "frankfurt": Place(50.1, 8.7, 1), "mumbai": Place(19.1, 72.9, 5), "singapore": Place(1.35, 103.8, 8),
    "tokyo": Place(35.7, 139.7, 9), "sydney": Place(-33.9, 151.2, 10),
}


def km(a: Place, b: Place) -> float:
    """Along the great circle (haversine)."""
    north = math.radians(b.latitude - a.latitude) / 2
    east = math.radians(b.longitude - a.longitude) / 2
    chord = math.sin(north) ** 2 + math.cos(math.radians(a.latitude)) * math.cos(math.radians(b.latitude)) * math.sin(
        east) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(chord))


def round_trip_s(a: Place, b: Place, path_times: float) -> float:
    """Of light in fibre, along a cable so many times as long as the great circle; routers take more."""
    return 2 * km(a, b) * path_times / FIBRE_KM_PER_S


def day_rps(names: Sequence[str], peak_rps: float) -> Floats:
    """Of each region (rows) in each hour of UTC: the day of examples/cost.toml by its own clock."""
    path = data("examples") / "cost.toml"
    weights = np.array(parse(CostSpec, read_text(path), path.name).load.weights)
    local = weights / weights.max() * peak_rps
    return np.array([[local[(hour + PLACES[name].east_h) % len(local)] for hour in range(len(local))]
                     for name in names])


@dataclass(frozen=True)
class Way:
    """`replicas`: in each region. `away_frac`: of the requests, served elsewhere; `added_s`: mean round trip of all.
    `lost`: the busiest hour when the largest region is gone; None where nothing is left."""

    replicas: tuple[int, ...]
    away_frac: float
    added_s: float
    lost: Trial | None


@dataclass(frozen=True)
class World:
    names: tuple[str, ...]
    rates_rps: Floats  # region x hour
    trips_s: Floats  # region x region
    path_times: float
    ways: Mapping[str, Way]
    alone: Trial  # the whole load in one place, at its busiest
    seeds: int
    requests: int

    @property
    def basis(self) -> str:
        return f"n = {self.seeds} seeds of {self.requests:,} requests; profile {PROFILE} (NVIDIA's kernel database)"


def world(regions: str, region_peak_rps: float, path_times: float, seeds: int, quick: bool) -> World:
    """Raises UsageError."""
    names = tuple(dict.fromkeys(chosen("regions", regions, tuple(PLACES))))
    if len(names) < 2:
        raise UsageError(f"regions: {regions!r}: give two or more")
    within("region_peak_rps", region_peak_rps, 5.0, 400.0)
    within("path_times", path_times, 1.0, 5.0)
    within("seeds", seeds, 2, 20)
    rates = day_rps(names, region_peak_rps)
    trips = np.array([[round_trip_s(PLACES[a], PLACES[b], path_times) for b in names] for a in names])
    asked = bench(silicon(PROFILE), 2 if quick else seeds, 300 if quick else REQUESTS)
    together, n = float(rates.sum(axis=0).max()), len(names)
    alone = fewest(asked, together)
    each = fewest(asked, float(rates.max())).replicas
    safe = math.ceil(alone.replicas / (n - 1))
    fleets = {
        "one place": (alone.replicas, *[0] * (n - 1)), "each for itself": (each,) * n,
        "shared": tuple(len(range(i, alone.replicas, n)) for i in range(n)), "shared, one may be lost": (safe,) * n,
    }
    holds_rps = together / alone.replicas
    # whoever is served elsewhere has waited for the longest way: the promise is that much shorter for all
    farther = replace(asked, slo=replace(asked.slo, ttft_s=(asked.slo.ttft_s or 0.0) - float(trips.max())))
    return World(names, rates, trips, path_times, {name: _way(fleet, rates, trips, holds_rps, farther)
                                       for name, fleet in fleets.items()}, alone, len(asked.schedules),
                 len(asked.schedules[0]))


def fewest(asked: Bench, rate_rps: float) -> Trial:
    """The smallest fleet that keeps the promise at this rate."""
    replicas = math.ceil(rate_rps / (asked.peak_rps or rate_rps))
    while not (trial := asked.trial(replicas, rate_rps)).met:
        replicas += 1
    return trial


def _way(replicas: tuple[int, ...], rates: Floats, trips: Floats, holds_rps: float, farther: Bench) -> Way:
    served = np.sum([moved(np.array(replicas) * holds_rps, hour, trips) for hour in rates.T], axis=0)
    away = 1 - float(np.trace(served)) / float(served.sum())
    added_s = float((served * trips).sum() / served.sum())
    left = sum(replicas) - max(replicas)
    if not left:
        return Way(replicas, away, added_s, None)
    return Way(replicas, away, added_s, farther.trial(left, float(rates.sum(axis=0).max())))


def moved(room_rps: Floats, rates_rps: Floats, trips_s: Floats) -> Floats:
    """How much of each region's load (rows) is served where (columns): at home first, what is too much by the nearest
    that has room; what nobody has room for stays at home, and waits."""
    served, room, over = np.zeros_like(trips_s), room_rps.astype(float), rates_rps.astype(float)
    for a, b in sorted(np.ndindex(*trips_s.shape), key=lambda pair: (trips_s[pair], pair)):
        taken = min(over[a], room[b])
        served[a, b] += taken
        over[a], room[b] = over[a] - taken, room[b] - taken
    return served + np.diag(over)


def distance_chart(found: World) -> Chart:
    home = found.names[0]
    far = sorted(PLACES, key=lambda name: km(PLACES[home], PLACES[name]))
    return Chart(
        "distance", "where it is asked", (Panel("round trip (s)", (Series(
            "light in fibre", tuple(far), tuple(round_trip_s(PLACES[home], PLACES[name], found.path_times)
                                                for name in far), "derived", "bars"),),
            level=found.alone.p95["ttft_s"], level_label="simulated TTFT, 95th percentile"),),
        f"What distance adds to the first token when the model is in {home}: once a request on an open connection, "
        "thrice on a new one; the tokens that follow come as fast as anywhere.",
        f"{found.basis}; coordinates of cities, fibre by ITU-T G.652",
        "Bars over cities, nearest first: the round trip of light in fibre, beside the simulated time to the first "
        "token as a level line.", tuple(far))


def sun_chart(found: World) -> Chart:
    hours = tuple(map(float, range(found.rates_rps.shape[1])))
    series = [Series(name, hours, tuple(map(float, row)), "derived", "steps", i)
              for i, (name, row) in enumerate(zip(found.names, found.rates_rps, strict=True))]
    total = found.rates_rps.sum(axis=0)
    return Chart(
        "sun", "hour of UTC (number)", (Panel("requests per second", (
            *series, Series("all together", hours, tuple(map(float, total)), "derived", "steps", 6))),),
        "The same day, begun where the sun rises first: the sum is flatter than its parts.",
        f"source: examples/cost.toml; n = {len(found.names)} regions, standard time",
        "Steps over the hours of UTC: each region's load, shifted by its time zone, and their sum, which varies less.")


def way_table(found: World) -> Table:
    rows = tuple((name, " + ".join(map(str, way.replicas)), str(sum(way.replicas)), percent(way.away_frac),
                  number(way.added_s * 1000), held(way)) for name, way in found.ways.items())
    return Table(("way", f"replicas in {', '.join(found.names)}", "in all", "served elsewhere", "mean round trip (ms)",
                  "inside the promise when the largest is lost"), rows,
                 f"Replicas and shares are simulated, {found.basis}; distances are derived. Lost: at the busiest hour, "
                 "everybody served by the others, over the longest way; in brackets the 95 % interval.")


def held(way: Way) -> str:
    if way.lost is None:
        return "none"
    if way.lost.saturated:
        return f"at most {percent(most_frac(way.lost))}: it falls behind"
    inside = way.lost.attainment
    return f"{percent(inside.mean)} ({percent(max(inside.low, 0.0))} to {percent(min(inside.high, 1.0))})"


def most_frac(lost: Trial) -> float:
    """Of a load that is too much, in the long run: a short one still finds an empty line and looks better."""
    return 1 / max(1.0, lost.load_frac or math.inf)


def results(found: World) -> list[Result]:
    rows = []
    for name, way in found.ways.items():
        stem = name.replace(",", "").replace(" ", "_")
        rows += [Result(f"replicas_{stem}", sum(way.replicas), "replicas", "simulated", found.seeds),
                 Result(f"round_trip_mean_s_{stem}", way.added_s, "s", "derived")]
        if way.lost is not None and way.lost.saturated:
            rows.append(Result(f"most_frac_when_lost_{stem}", most_frac(way.lost), "", "derived"))
        elif way.lost is not None:
            held = way.lost.attainment
            rows.append(Result(f"kept_frac_when_lost_{stem}", held.mean, "", "simulated", held.n, max(held.low, 0.0),
                               min(held.high, 1.0)))
    return rows
