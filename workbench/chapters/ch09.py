"""Chapter 9: what queues promise, what routers do with old signals, and what keeps an overload alive."""

from dataclasses import dataclass

import numpy as np

from sims.plane.run import PlaneResult
from sims.theory import erlang_c, mmc_wait
from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.playing import Played
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table
from workbench.flows.theory_systems import TOKEN_NS, PerToken, poisson, queue
from workbench.flows.validate_theory import Estimate, estimate
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

LOADS = (0.3, 0.5, 0.7, 0.8, 0.9)
LEVEL_TEXT = "99.7 % intervals"  # of `estimate`
ROUTERS = {
    "round robin": '"round_robin"', "least outstanding": '"least_outstanding"',
    "old report": '{ name = "pipeline", parameters = { parts = [{ name = "reported" }], corrected = false } }',
    "old report, two choices": '{ name = "pipeline", parameters = { parts = [{ name = "reported" }], '
                               "corrected = false, choices = 2 } }",
    "old report, corrected": '{ name = "pipeline", parameters = { parts = [{ name = "reported" }] } }',
}


@dataclass(frozen=True)
class Waits:
    """Mean wait of M/M/c at each load, in mean services: simulated with its interval, and Erlang's formula."""

    servers: int
    loads: tuple[float, ...]
    simulated: tuple[Estimate, ...]
    requests: int

    def formula(self, load: float) -> float:
        return mmc_wait(self.servers, load * self.servers, 1.0)


def erlang(servers: int, seeds: int, quick: bool) -> Waits:
    """Raises UsageError."""
    within("servers", servers, 1, 64)
    within("seeds", seeds, 2, 200)
    loads, requests = (LOADS[:2], 1_000) if quick else (LOADS, 10_000)
    seeds = max(seeds, 8)  # the control variates need more seeds than there are of them
    return Waits(servers, loads, tuple(_wait(servers, load, seeds, requests) for load in loads), requests)


def _wait(servers: int, load: float, seeds: int, requests: int) -> Estimate:
    draw = poisson(load * servers, lambda rng, n: rng.exponential(1.0, n))
    drawn = [draw(np.random.default_rng([seed, round(1000 * load)]), requests) for seed in range(seeds)]
    run = queue(servers)
    values = [run(item, PerToken(TOKEN_NS), {})["mean_wait"] for item in drawn]
    return estimate(values, [item.controls for item in drawn])


def erlang_chart(found: Waits) -> Chart:
    grid = tuple(float(load) for load in np.linspace(0.2, 0.92, 37))
    low, high = zip(*((max(item.mean - item.half_width, 0.0), item.mean + item.half_width)
                      for item in found.simulated), strict=True)
    waiting = tuple(erlang_c(found.servers, load * found.servers) for load in grid)
    return Chart(
        "erlang", "load (share of capacity)",
        (Panel("mean wait (mean service times)", (
            Series("formula", grid, tuple(map(found.formula, grid)), "derived", "line", 6),
            Series("simulator", found.loads, tuple(item.mean for item in found.simulated), "simulated", "points", 1,
                   low, high))),
         Panel("share of requests that wait", (Series("formula", grid, waiting, "derived", "line", 6),))),
        f"{found.servers} replicas that serve one request at a time: Erlang's formula, and the simulator itself.",
        f"n = {found.simulated[0].n} seeds of {found.requests} requests at each load; {LEVEL_TEXT}",
        "Two panels over the load: the mean wait by formula with the simulator's marks on it, and the share of "
        "requests that must wait.",
    )


def routers(report_s: float, seeds: int, quick: bool) -> Played:
    """Four replicas near their capacity; a report of each every `report_s`. Raises UsageError."""
    within("report_s", report_s, 0.05, 30.0)
    text = playing.shipped("gpu_failure")
    text = text[:text.index("[[failures]]")] + text[text.index('[slo."*"]'):]
    text = playing.changed(text, ("heartbeat_s = 1.0", f"heartbeat_s = 1.0\nreport_s = {report_s}"))
    if quick:
        text, seeds = text.replace("duration_s = 50", "duration_s = 10"), 2
    return playing.play({name: text.replace('routing = "least_outstanding"', f"routing = {value}")
                         for name, value in ROUTERS.items()}, range(1, seeds + 1))


def router_chart(found: Played, report_s: float) -> Chart:
    return Chart(
        "routers", "router", (found.panel("time to first token (s)", {
            "95th percentile": playing.ttft_s(0.95), "median": playing.ttft_s(0.5)}),),
        f"Who follows a report that is up to {report_s:g} s old sends everything to the same replica until the next.",
        found.basis, "The median and the 95th percentile of time to first token for five routers: two that follow no "
        "report, two that follow old ones, and one that corrects them by what was sent since.", found.names,
    )


def storm(seeds: int, quick: bool) -> Played:
    """Impatient clients after a crowd, before different front doors."""
    text = playing.shipped("retry_storm")
    if quick:
        text, seeds = text.replace("horizon_s = 60", "horizon_s = 34").replace("duration_s = 50", "duration_s = 30"), 1
    polite = playing.changed(text, ("wait_s = 0.05", "wait_s = 1.0, factor = 2.0, spread_frac = 1.0"))
    endless = playing.without(text, "control.queue")
    return playing.play({"no bound": endless, "short line": text, "clients back off": polite}, range(1, seeds + 1))


def storm_chart(found: Played) -> Chart:
    series = tuple(playing.time_series(name, playing.over_time(runs[0], 2.0, "answered"), i)
                   for i, (name, runs) in enumerate(found.runs.items()))
    return Chart(
        "storm", "time (s)", (Panel("requests answered per second", series),),
        "A crowd comes for six seconds, and its clients ask again. Without a bound the line is full of requests whose "
        "clients have left; the overload outlives its cause.", f"n = 1 run of each, seed {found.seeds[0]}; profile "
        f"{found.profile}", "Steps over time: without a bound hardly anybody is answered after the crowd; with a short "
        "line, or with clients that back off, service recovers.",
    )


def breaker(seeds: int, quick: bool) -> Played:
    """One of four replicas dies silently; with and without a breaker."""
    text = playing.shipped("gpu_failure")
    if quick:
        text, seeds = text.replace("duration_s = 50", "duration_s = 25"), 1
    return playing.play({"breaker": text, "none": playing.without(text, "control.breaker")}, range(1, seeds + 1))


def breaker_table(found: Played) -> Table:
    return found.table({"share that failed": playing.share(("error",)), "TTFT p95 (s)": playing.ttft_s()},
                       "A dead replica looks idle until somebody notices.")


def numbers(waits: Waits, routed: Played, stormed: Played, broken: Played) -> Results:
    return Results((
        *(Result(f"mean_wait_load_{load:g}", item.mean, "mean services", "simulated", item.n,
                 item.mean - item.half_width, item.mean + item.half_width)
          for load, item in zip(waits.loads, waits.simulated, strict=True)),
        *routed.results("ttft_p95_s", "s", playing.ttft_s()),
        *stormed.results("answered_frac", "", answered_of_meant),
        *broken.results("failed_frac", "", playing.share(("error",))),
    ))


def answered_of_meant(run: PlaneResult) -> float:
    """Answers over what people wanted: a repetition (`r17~2`) is the same wish."""
    meant = sum("~" not in name for name in run.log.text("request_id"))
    return float(run.log.is_ok.sum()) / meant


def answer(waits: Waits, routed: Played, stormed: Played) -> Prose:
    worst = max(abs(item.mean / waits.formula(load) - 1) for load, item in zip(waits.loads, waits.simulated,
                                                                               strict=True))
    found, kept = routed.over_seeds(playing.ttft_s()), stormed.over_seeds(answered_of_meant)
    return Prose(
        f"The simulator is within {worst:.1%} of Erlang's mean wait; a router that follows old reports has a p95 of "
        f"{playing.said(*found['old report'])} s where the least outstanding has "
        f"{playing.said(*found['least outstanding'])} s; and in a retry storm a short line answers "
        f"{playing.said(*kept['short line'], 2)} of what people wanted, an endless one "
        f"{playing.said(*kept['no bound'], 2)}."
    )
