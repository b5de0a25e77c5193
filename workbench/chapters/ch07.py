"""Chapter 7: which rate limit lets through what, and how far a token limit that is charged afterwards overshoots."""

from collections.abc import Callable, Mapping
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


def experiment(amount: int, per_s: float, pressure: float, seed: int, quick: bool) -> Burst:
    """`pressure` times the limit arrives all the time, and a burst of twice the limit across an edge. UsageError."""
    within("amount", amount, 1, 100_000)
    within("per_s", per_s, 0.001, 86_400)
    within("pressure", pressure, 0.0, 100.0)
    amount = min(amount, 50) if quick else amount
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


def burst_chart(found: Burst) -> Chart:
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


def worst_table(found: Burst) -> Table:
    rows = tuple(
        (name, str(len(times)), percent(len(times) / len(found.arrivals_s)), str(found.worst(name)),
         f"{found.worst(name) / found.amount:.2f}") for name, times in found.admitted_s.items()
    )
    return Table(("algorithm", "let through", "of all", "most within one window's length", "of the limit"), rows,
                 f"Simulated by the policies themselves. n = {len(found.arrivals_s)} arrivals, seed {found.seed}.")


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


def numbers(found: Burst, limit_tok: int) -> Results:
    n = len(found.arrivals_s)
    worst = [Result(f"worst_window_of_limit_{name.replace(' ', '_')}", found.worst(name) / found.amount, "",
                    "simulated", n) for name in found.admitted_s]
    return Results((*worst, *(
        Result(f"overshoot_{how}", let_through(IN_FLIGHT[-1], limit_tok, reserve) / limit_tok, "", "simulated",
               IN_FLIGHT[-1]) for how, reserve in (("charged_after", False), ("reserved", True)))))


def answer(found: Burst, limit_tok: int) -> Prose:
    edge, bucket = (found.worst(name) / found.amount for name in ("fixed window", "sliding log"))
    after = let_through(IN_FLIGHT[-1], limit_tok, reserve=False) / limit_tok
    return Prose(
        f"Under this burst a fixed window lets {number(edge, 3)} times its limit through within one window's length, a "
        f"sliding log {number(bucket, 3)} times; and a token limit that is charged afterwards lets "
        f"{number(after, 3)} times its limit through with {IN_FLIGHT[-1]} requests in flight, reserving never more "
        "than the limit. One burst has no interval: the worst cases are proved in the tests of the policies."
    )
