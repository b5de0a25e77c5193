"""How a plane run went over time, from its log and from what happened to the fleet."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.figures.chart import COLOURS, Chart, Panel, Series
from workbench.flows.plane_tables import moments
from workbench.metrics import Slo, arrived, meets
from workbench.runlog.table import RunLog
from workbench.stats.quantiles import quantile

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
BUCKETS = 60
IN_A_ROW = 60  # requests a point: a p95 needs three beyond it
OTHERS = "others"


class Over(NamedTuple):
    """What all figures of a run share: the steps' edges in seconds, what happened when, and where it comes from."""

    edges: Floats
    marks: tuple[tuple[float, str], ...]
    basis: str


def charts(log: RunLog, found: Mapping[str, Any]) -> list[Chart]:
    """`found` is summary.json; the log is its first seed's."""
    log, seed = arrived(log), found["runs"][0]
    length_s = seed["stop_ns"] / 1e9
    width_s = _width(length_s / BUCKETS)
    marks = [(at_ns / 1e9, str(number)) for number, (at_ns, _) in
             enumerate(moments(seed["operations"], seed["stop_ns"]), start=1)]
    over = Over(np.arange(0.0, length_s + width_s, width_s), tuple(marks),
                f"seed {seed['seed']}" + ("; marks as numbered in the table of what happened" if marks else ""))
    return [_traffic(log, over), _latency(log, found, over), _fleet(log, found, over)]


def _traffic(log: RunLog, over: Over) -> Chart:
    ok, edges = log.is_ok, over.edges
    panels = []
    for text, column, rows in (("arrivals", "sent_ns", np.ones(len(log), dtype=bool)), ("answered", "end_ns", ok),
                               ("refused or failed", "end_ns", ~ok)):
        at_s = np.where(rows, log.floats(column) / 1e9, np.nan)
        rates = _each(log, "tenant", partial(_rate, at_s, edges), edges)
        panels.append(Panel(f"{text} (requests/s)", rates))
    return Chart("traffic", "time (s)", tuple(panels), f"Arrivals, answers and refusals per tenant, in "
                 f"steps of {edges[1]:g} s.", over.basis,
                 "Three panels over time, a line per tenant: arrivals, answers, and requests refused or failed.",
                 marks=over.marks)


def _latency(log: RunLog, found: Mapping[str, Any], over: Over) -> Chart:
    sent_s = log.floats("sent_ns") / 1e9
    ttft_s = log.floats("first_token_ns") / 1e9 - sent_s
    met, tiers = np.zeros(len(log)), log.text("tier")
    for tier in dict.fromkeys(tiers.tolist()):
        mine = np.asarray(tiers == tier, dtype=bool)
        promised = found["slo"].get(tier, found["slo"].get("*"))
        met[mine] = meets(log.where(mine), Slo() if promised is None else Slo(**promised))
    known = ~np.isnan(ttft_s)
    order = [*found["tiers"]]
    p95 = Panel("p95 of TTFT by time of arrival (s)", _rows(log, sent_s, partial(_quantile, ttft_s), known, order))
    attained = Panel("attained by time of arrival (%)",
                     _rows(log, sent_s, partial(_share, met), known | ~known, order))
    return Chart("latency", "time (s)", (p95, attained), "Time to first token, and the share of requests that got what "
                 f"was promised; each point is {IN_A_ROW} requests of the tier in a row, or more.", over.basis,
                 "Two panels over time, a line per tier: the 95th percentile of the time to first token, and the "
                 "attained share.", marks=over.marks)


def _quantile(values: Floats, rows: Rows) -> float | None:
    return quantile(values[rows], 0.95)


def _share(met: Floats, rows: Rows) -> float | None:
    return float(met[rows].mean() * 100)


def _rows(log: RunLog, sent_s: Floats, figure: Callable[[Rows], float | None], known: Mask,
          order: Sequence[str]) -> tuple[Series, ...]:
    """A line per tier; nothing where there were too few requests for one point."""
    found = []
    for i, (name, mine) in enumerate(_groups(log, "tier", order).items()):
        rows = np.flatnonzero(mine & known)
        rows = rows[np.argsort(sent_s[rows], kind="stable")]
        parts = np.array_split(rows, max(1, min(BUCKETS // 2, len(rows) // IN_A_ROW)))
        kept = [part for part in parts if len(part) >= IN_A_ROW]
        found.append(Series(name, tuple(float(sent_s[part].mean()) for part in kept),
                            tuple(figure(part) for part in kept), "simulated", "line", i))
    return tuple(found)


def _fleet(log: RunLog, found: Mapping[str, Any], over: Over) -> Chart:
    sent_s, end_s, admit_s = (log.floats(name) / 1e9 for name in ("sent_ns", "end_ns", "admit_ns"))
    left_s = np.where(np.isnan(admit_s), end_s, admit_s)
    order = [*found["tiers"]]
    panels = [Panel(text, _each(log, "tier", partial(_inside, begin_s, until_s, over.edges), over.edges, order))
              for text, begin_s, until_s in (("waiting at the front door (requests)", sent_s, left_s),
                                             ("in engines (requests)", admit_s, end_s))]
    serving = Series("replicas", *replicas_over_time(found), "simulated", "steps", 6)
    panels.insert(0, Panel("replicas that serve", (serving,)))
    return Chart("fleet", "time (s)", tuple(panels), "Replicas that serve, requests waiting before their last release, "
                 f"and requests in engines, every {over.edges[1]:g} s.", over.basis,
                 "Panels over time: how many replicas serve, how many requests wait, how many are in engines.",
                 marks=over.marks)


def replicas_over_time(found: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(seconds, replicas from then on)."""
    seed, said = found["runs"][0], found["control"]["replicas"]
    specs = [{}] * said if isinstance(said, int) else said
    up = {i for i, spec in enumerate(specs) if spec.get("started", True)}
    times, counts = [0.0], [float(len(up))]
    for one in seed["operations"]:
        if one["kind"] == "ReplicaUp":
            up.add(one["replica"])
        elif one["kind"] in ("ReplicaDown", "Stop"):
            up.discard(one["replica"])
        if len(up) != counts[-1]:
            times.append(one["at_ns"] / 1e9)
            counts.append(float(len(up)))
    return (*times, seed["stop_ns"] / 1e9), (*counts, counts[-1])


def _each(log: RunLog, column: str, values: Callable[[Mask], Sequence[float | None]],
          edges: Floats, order: Sequence[str] = ()) -> tuple[Series, ...]:
    found = {name: tuple(values(mine)) for name, mine in _groups(log, column, order).items()}
    return tuple(Series(name, tuple(edges.tolist()), (*steps, steps[-1]), "simulated", "steps", i)
                 for i, (name, steps) in enumerate(found.items()))


def _groups(log: RunLog, column: str, order: Sequence[str] = ()) -> dict[str, Mask]:
    """The most frequent names, in this order and then by name; who has no colour left is among the others."""
    names = log.text(column)
    by_rows = sorted(set(names.tolist()), key=lambda name: (-int((names == name).sum()), name))
    place = {name: i for i, name in enumerate(order)}
    kept = sorted(by_rows if len(by_rows) <= len(COLOURS) else by_rows[:len(COLOURS) - 1],
                  key=lambda name: (place.get(name, len(place)), name))
    groups = {name: np.asarray(names == name, dtype=bool) for name in kept}
    if len(kept) < len(by_rows):
        groups[OTHERS] = ~np.logical_or.reduce(list(groups.values()))
    return groups


def _rate(at_s: Floats, edges: Floats, mine: Mask) -> list[float | None]:
    at_s = at_s[mine]
    return [float(n / edges[1]) for n in np.histogram(at_s[~np.isnan(at_s)], edges)[0]]


def _inside(begin_s: Floats, end_s: Floats, edges: Floats, mine: Mask) -> list[float | None]:
    """How many had begun and not ended at the beginning of each step; one that never ended is inside to the end."""
    mine = mine & ~np.isnan(begin_s)
    begin, end = np.sort(begin_s[mine]), np.sort(end_s[mine])  # unknown ones last
    return [float(np.searchsorted(begin, at, "right") - np.searchsorted(end, at, "right")) for at in edges[:-1]]


def _width(least_s: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    least = max(least_s, 1e-3)
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * 0.999))
