"""Chapter 5: what a single queue before one engine does: formula, simulation and the engine itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sims.rules import LlamaCppRules
from sims.run import simulate
from sims.saturation import saturation_rps
from sims.theory import mmc_wait, pollaczek_khinchine
from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.ch05_engine import Real, Run
from workbench.chapters.playing import Played
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.flows.calibrate import poisson
from workbench.flows.trial import APART_NS
from workbench.metrics import values
from workbench.profile.profile import Profile
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval
from workbench.workload.draw import draw

SLOTS = (1, 4)
LOADS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.85)  # of what the engine completes
WORDS = {1: "one at a time", 4: "four at a time"}
DOORS = {"in time": 12.0, "overload": 28.0}  # requests/s; the replica completes about 23
BOUND = 16


@dataclass(frozen=True)
class Curve:
    """One engine with so many slots: mean end-to-end time at each load, and what formulas know of it."""

    slots: int
    capacity_rps: float
    rates_rps: tuple[float, ...]
    e2e_s: tuple[Interval, ...]
    requests: int
    mean_s: float  # of a request that is alone, in the engine
    second_s2: float
    outside_s: float  # on the way to the engine and back

    def formula_s(self, rate_rps: float) -> float | None:
        """One server with these service times, or as many servers as slots that do not slow each other."""
        if rate_rps * self.mean_s >= self.slots:
            return None
        wait_s = (pollaczek_khinchine(rate_rps, self.mean_s, self.second_s2) if self.slots == 1
                  else mmc_wait(self.slots, rate_rps, self.mean_s))
        return wait_s + self.mean_s + self.outside_s


def curves(real: Real, seeds: int, quick: bool) -> tuple[Curve, ...]:
    """The engine's profile on the simulator, over loads and seeds. Raises UsageError."""
    within("seeds", seeds, 2, 100)
    loads, requests, seeds = (LOADS[::2], 80, 4) if quick else (LOADS, 400, seeds)
    return tuple(_curve(real.profiles[slots], slots, loads, requests, seeds) for slots in SLOTS)


def _curve(profile: Profile, slots: int, loads: tuple[float, ...], requests: int, seeds: int) -> Curve:
    rules = LlamaCppRules(slots=slots)
    alone = service_s(profile, rules, 4 * requests)
    capacity = saturation_rps(draw(poisson(1.0, requests=requests), 0), profile, rules)
    assert capacity is not None  # every request of this workload fits
    rates = tuple(load * capacity for load in loads)
    found = tuple(t_interval(np.array([_mean_e2e_s(profile, rules, rate, requests, seed) for seed in range(seeds)]))
                  for rate in rates)
    outside_s = profile.overhead_ns("engine_in") * playing.SECOND
    return Curve(slots, capacity, rates, found, requests, float(alone.mean()), float((alone**2).mean()), outside_s)


def service_s(profile: Profile, rules: LlamaCppRules, requests: int) -> NDArray[np.float64]:
    """In the engine, of requests that never meet."""
    drawn = draw(poisson(1.0, requests=requests), 0)
    apart = [replace(item, intended_ns=i * APART_NS) for i, item in enumerate(drawn)]
    log = simulate(apart, profile, rules, keep_journal=False).log
    return np.asarray(values(log, "e2e_s") - profile.overhead_ns("engine_in") * playing.SECOND)


def _mean_e2e_s(profile: Profile, rules: LlamaCppRules, rate_rps: float, requests: int, seed: int) -> float:
    log = simulate(draw(poisson(rate_rps, requests=requests), seed), profile, rules, keep_journal=False).log
    return float(values(log, "e2e_s").mean())


def queue_chart(found: tuple[Curve, ...], real: Real) -> Chart:
    n, profile = found[0].e2e_s[0].n, real.profiles[SLOTS[-1]]
    measured = (f"engine: {len(real.runs)} runs of {real.runs[0].n} requests and more, each once, its simulated twin "
                f"from the same sends" if real.runs else "the engine was not started here")
    return Chart(
        "queue", "requests sent (per second)", tuple(_panel(curve, real) for curve in found),
        "Left: one request at a time is the queue of the textbooks. Right: an engine that batches is not four servers; "
        "only the simulator, which knows its iterations, follows it.",
        f"n = {n} seeds of {found[0].requests} requests at each load, whiskers are 95 % intervals of the mean; "
        f"{measured}; profile {profile.subject.model} {profile.subject.quant} ({profile.source})",
        "Two panels of mean end-to-end time over the request rate, with one slot and with four: formula, simulator "
        "and, where it was measured, the real engine.")


def _panel(curve: Curve, real: Real) -> Panel:
    top = 1.02 * max(item.mean for item in curve.e2e_s)
    rates = [float(rate) for rate in np.linspace(0.1, 0.97, 60) * curve.capacity_rps]
    shown = [(rate, e2e_s) for rate in rates if (e2e_s := curve.formula_s(rate)) is not None and e2e_s <= top]
    name = "Pollaczek-Khinchine" if curve.slots == 1 else "Erlang: four servers"
    series = [
        Series(name, *_columns(shown), "derived", "line", 6),
        Series("simulator", curve.rates_rps, tuple(item.mean for item in curve.e2e_s), "simulated", "points", 1,
               tuple(max(item.low, 0.0) for item in curve.e2e_s), tuple(item.high for item in curve.e2e_s)),
    ]
    if mine := [run for run in real.runs if run.slots == curve.slots]:
        rates_rps = tuple(run.rate_rps for run in mine)
        twin, seen = (tuple(run.simulated_s for run in mine), tuple(run.measured_s for run in mine))
        series += [Series("its twin, the same sends", rates_rps, twin, "simulated", "points", 4),
                   Series("llama.cpp", rates_rps, seen, "measured", "points", 0)]
    return Panel(f"mean end-to-end, {WORDS[curve.slots]} (s)", tuple(series))


def _columns(pairs: list[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(x for x, _ in pairs), tuple(y for _, y in pairs)


def run_table(real: Real) -> Table | Prose:
    """Engine against simulator, run by run; else what was measured when the demo was last committed."""
    if not real.runs:
        return Prose(f"The engine was not measured now: {real.why}. {real.kept}")
    rows = tuple((f"{run.slots}", number(run.rate_rps, 2), f"{run.n}", percent(run.busy_frac, 0),
                  number(run.measured_s), number(run.simulated_s), f"{100 * run.error_frac:+.1f} %",
                  f"{100 * run.drift_frac:+.1f} %") for run in real.runs)
    columns = ("slots", "requests/s", "n", "engine busy", "measured (s)", "simulated (s)", "off by", "steps took")
    return Table(columns, rows, "Measured here, each run once on a fresh engine, against a simulation from the same "
                 "send times. The last column is the drift of the machine: the engine's own steps against the profile."
                 + real.limited)


def door(seeds: int, quick: bool) -> Played:
    """v0.1 before one large replica: below its capacity, above it, and above it with a bound."""
    text = playing.shipped("single_backend")
    if quick:
        text, seeds = playing.changed(text, ("requests = 500", "requests = 250")), 1
    calm, busy = (playing.changed(text, ("rate_per_s = 12.0", f"rate_per_s = {rate}")) for rate in DOORS.values())
    bound = playing.changed(busy, ("[policies]", f"[control.queue]\nlimit = {BOUND}\n\n[policies]"))
    return playing.play({"in time": calm, "overload": busy, "overload, bounded": bound}, range(1, min(seeds, 5) + 1))


def door_chart(found: Played) -> Chart:
    ttft = [playing.time_series(name, playing.over_time(runs[0], 2.0, "ttft"), i)
            for i, (name, runs) in enumerate(found.runs.items())]
    refused = [playing.time_series(name, playing.over_time(runs[0], 2.0, "refused"), i)
               for i, (name, runs) in enumerate(found.runs.items())]
    return Chart(
        "door", "time (s)", (Panel("95th percentile of time to first token (s)", tuple(ttft)),
                             Panel("requests refused (per second)", tuple(refused))),
        f"What a dashboard shows: above capacity every second adds to the wait; a line of {BOUND} refuses instead.",
        f"n = 1 run of each, seed {found.seeds[0]}; profile {found.profile}",
        "Two panels over time: the 95th percentile of time to first token rises without end in an overload without a "
        "bound and stays flat with one; refusals per second are zero without a bound.")


def door_table(found: Played) -> Table:
    return found.table(_metrics(), "The metrics of v0.1, enough to tell the three apart.")


def _metrics() -> Mapping[str, playing.Figure]:
    return {"TTFT p95 (s)": playing.ttft_s(), "refused (share)": playing.share(("rejected", "shed")),
            "answered (per second)": lambda run: float(run.log.is_ok.sum()) / (run.stop_ns * playing.SECOND)}


def numbers(found: tuple[Curve, ...], real: Real, played: Played) -> Results:
    return Results((
        *(Result(f"e2e_mean_{curve.slots}_slots_{rate:.2f}_rps", item.mean, "s", "simulated", item.n, item.low,
                 item.high) for curve in found for rate, item in zip(curve.rates_rps, curve.e2e_s, strict=True)),
        *(Result(f"capacity_{curve.slots}_slots", curve.capacity_rps, "requests/s", "simulated", curve.requests)
          for curve in found),
        *(Result(f"e2e_mean_measured_{run.slots}_slots_{run.rate_rps:.2f}_rps", run.measured_s, "s", "measured", run.n)
          for run in real.runs),
        *played.results("ttft_p95_s", "s", playing.ttft_s()),
    ))


def answer(found: tuple[Curve, ...], real: Real) -> Prose:
    one, four = found
    off = [(_formula(one, rate) - item.mean) / item.mean for rate, item in zip(one.rates_rps, one.e2e_s, strict=True)]
    first, last = (playing.said(item.mean, max(item.low, 0.0), item.high, 2) for item in (one.e2e_s[0], one.e2e_s[-1]))
    text = (f"Before one engine that takes one request at a time an answer takes {first} s on average at "
            f"{one.rates_rps[0]:.1f} requests/s and {last} s at {one.rates_rps[-1]:.1f}; the formula is within "
            f"{max(map(abs, off)):.0%} of the simulator. Four at a time complete "
            f"{four.capacity_rps / one.capacity_rps:.2f} times as many, not four times")
    if not real.runs:
        return Prose(f"{text}. The engine itself was not measured now.")
    steady = [run for run in real.runs if run.steady]
    if not steady:
        return Prose(f"{text}. The engine ran, but this machine's speed changed by up to "
                     f"{max(abs(run.drift_frac) for run in real.runs):.0%} between calibration and run: no verdict on "
                     "the simulator; measure again on a quiet machine.")
    worst = max(steady, key=lambda run: abs(run.error_frac))
    mean = float(np.mean([run.error_frac for run in steady]))
    return Prose(f"{text}. Over {len(steady)} of {len(real.runs)} runs of the real engine, those without drift, the "
                 f"simulator is off by {mean:+.1%} on average and by {_away(worst)} at worst.")


def _formula(curve: Curve, rate_rps: float) -> float:
    found = curve.formula_s(rate_rps)
    return float("nan") if found is None else found


def _away(run: Run) -> str:
    return f"{run.error_frac:+.1%} (slots: {run.slots}, {run.rate_rps:.1f} requests/s, n = {run.n})"
