"""Chapter 7: which rate limit lets through what, and how far a token limit that is charged afterwards overshoots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.chapters.about import within
from workbench.control.limits import FixedWindow, Gcra, Level, Limits, Reservation, SlidingCounter, SlidingLog
from workbench.control.limits.answer import Meter
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval

SECOND = 10**9
HORIZON_S, BURST_S = 3.0, 0.4  # in windows; the burst lies across the first edge
METERS: Mapping[str, Callable[[int, int], Meter]] = {
    "token bucket": lambda amount, per_ns: Gcra(amount, per_ns, burst=amount),
    "sliding log": SlidingLog, "sliding counter": SlidingCounter, "fixed window": FixedWindow,
}
TOKENS = 100  # of one answer, in the second experiment
IN_FLIGHT = (1, 5, 10, 20, 40, 80, 160, 320)


@dataclass(frozen=True)
class Burst:
    """The same arrivals before every meter; `admitted_s`: when each let somebody through."""

    amount: int
    per_s: float
    seed: int
    arrivals_s: NDArray[np.float64]
    admitted_s: Mapping[str, NDArray[np.float64]]

    def worst(self, name: str) -> int:
        """The most that were let through within any time of one window's length."""
        times = self.admitted_s[name]
        return int((np.searchsorted(times, times + self.per_s, side="left") - np.arange(len(times))).max(initial=0))


def experiment(amount: int, per_s: float, pressure: float, seed: int, bursts: int, quick: bool) -> tuple[Burst, ...]:
    """`pressure` times the limit arrives all the time, and a burst of four times the limit across an edge; so
    many times, from this seed on. Raises UsageError."""
    within("amount", amount, 1, 100_000)
    within("per_s", per_s, 0.001, 86_400)
    within("pressure", pressure, 0.0, 100.0)
    within("bursts", bursts, 2, 100)
    amount, bursts = (min(amount, 50), 2) if quick else (amount, bursts)
    return tuple(_burst(amount, per_s, pressure, seed + i) for i in range(bursts))


def _burst(amount: int, per_s: float, pressure: float, seed: int) -> Burst:
    rng, span_s = np.random.default_rng(seed), HORIZON_S * per_s
    steady = rng.uniform(0, span_s, rng.poisson(pressure * amount * HORIZON_S))
    burst = rng.uniform(per_s * (1 - BURST_S / 2), per_s * (1 + BURST_S / 2), 4 * amount)
    arrivals = np.sort(np.concatenate([steady, burst]))
    per_ns = round(per_s * SECOND)
    return Burst(amount, per_s, seed, arrivals, {
        name: _through(make(amount, per_ns), arrivals) for name, make in METERS.items()})


def _through(meter: Meter, arrivals_s: NDArray[np.float64]) -> NDArray[np.float64]:
    admitted = []
    for at_s in arrivals_s:
        now_ns = round(float(at_s) * SECOND)
        if meter.look(now_ns, "tenant", 1).admitted:
            meter.take(now_ns, "tenant", 1)
            admitted.append(float(at_s))
    return np.array(admitted)


def worst(found: Sequence[Burst], name: str) -> Interval:
    """Of the limit, over the seeds."""
    return t_interval(np.array([one.worst(name) / one.amount for one in found]))


def burst_chart(every: Sequence[Burst]) -> Chart:
    """Of the first seed."""
    found = every[0]
    grid = np.linspace(0, HORIZON_S * found.per_s, 241)
    x = tuple(map(float, grid))
    arrived = np.searchsorted(found.arrivals_s, grid, side="right")
    series = [Series("arrived", x, tuple(map(float, arrived)), "simulated", "steps", 6)]
    series += [Series(name, x, tuple(map(float, np.searchsorted(times, grid, side="right"))), "simulated", "steps", i)
               for i, (name, times) in enumerate(found.admitted_s.items())]
    return Chart(
        "admitted", "time (s)", (Panel("requests since the start", tuple(series)),),
        f"The same arrivals before four limits of {found.amount} requests per {found.per_s:g} s, with a burst across a "
        "window's edge.", f"n = {len(found.arrivals_s)} arrivals, seed {found.seed}",
        "Steps over time: how many requests had arrived, and how many each of four algorithms had let through.",
        marks=tuple((found.per_s * i, "") for i in range(1, int(HORIZON_S))),
    )


def worst_table(found: Sequence[Burst]) -> Table:
    rows = tuple(
        (name, percent(float(np.mean([len(one.admitted_s[name]) / len(one.arrivals_s) for one in found]))),
         _said(worst(found, name)), f"{max(one.worst(name) / one.amount for one in found):.2f}") for name in METERS)
    return Table(("algorithm", "let through", "most within one window's length (of the limit)", "in the worst run"),
                 rows, f"Simulated by the policies themselves. n = {len(found)} seeds of "
                 f"{len(found[0].arrivals_s)} arrivals or so; in brackets 95 % intervals of the mean.")


def _said(row: Interval) -> str:
    return f"{row.mean:.2f} ({row.low:.2f} to {row.high:.2f})"


def let_through(in_flight: int, limit_tok: int, reserve: bool) -> int:
    """Tokens that one instant lets through, each of so many requests turning out to use TOKENS."""
    if reserve:
        limits = Limits([Level("tokens", Gcra(limit_tok, 60 * SECOND))])
        keys = {"tokens": "tenant"}
        return TOKENS * sum(isinstance(limits.reserve(0, keys, TOKENS), Reservation) for _ in range(in_flight))
    bucket = Gcra(limit_tok, 60 * SECOND)  # asked before, charged after: nothing is taken while they run
    return TOKENS * sum(bucket.look(0, "tenant", 1).admitted for _ in range(in_flight))


def overshoot_chart(limit_tok: int) -> Chart:
    within("limit_tok", limit_tok, TOKENS, 10**9)
    x = tuple(map(float, IN_FLIGHT))
    after, before = (tuple(let_through(n, limit_tok, reserve) / limit_tok for n in IN_FLIGHT)
                     for reserve in (False, True))
    return Chart(
        "overshoot", "requests in flight at once", (Panel("tokens let through, of the limit", (
            Series("charged when the answer is finished", x, after, "simulated", "line", 1),
            Series("reserved before, settled after", x, before, "simulated", "line", 0)),
            level=1.0, level_label="the limit"),),
        f"A limit of {limit_tok} tokens a minute before answers of {TOKENS} tokens each.",
        f"n = {len(IN_FLIGHT)} levels of concurrency, no randomness in them; source: the policies themselves",
        "Two lines over the number of requests in flight: charging afterwards grows with it, reserving stays at the "
        "limit.", log_x=True,
    )


def numbers(found: Sequence[Burst], limit_tok: int) -> Results:
    rows = {name: worst(found, name) for name in METERS}
    most = [Result(f"worst_window_of_limit_{name.replace(' ', '_')}", row.mean, "", "simulated", row.n, row.low,
                   row.high) for name, row in rows.items()]
    return Results((*most, *(
        Result(f"overshoot_{how}", let_through(IN_FLIGHT[-1], limit_tok, reserve) / limit_tok, "", "simulated",
               IN_FLIGHT[-1]) for how, reserve in (("charged_after", False), ("reserved", True)))))


def answer(found: Sequence[Burst], limit_tok: int) -> Prose:
    edge, log = (worst(found, name) for name in ("fixed window", "sliding log"))
    after = let_through(IN_FLIGHT[-1], limit_tok, reserve=False) / limit_tok
    return Prose(
        f"Under such bursts a fixed window lets {_said(edge)} times its limit through within one window's length, a "
        f"sliding log {_said(log)} times (n = {edge.n} seeds, in brackets 95 % intervals); and a token limit "
        f"that is charged afterwards lets {number(after, 3)} times its limit through with {IN_FLIGHT[-1]} requests in "
        "flight, reserving never more than the limit. The worst cases are proved in the tests of the policies."
    )
