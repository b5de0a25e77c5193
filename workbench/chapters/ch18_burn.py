"""Chapter 18: when the alarms on an error budget would fire in each incident, and how much of the budget is gone."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sims.plane.run import PlaneResult
from workbench.chapters.about import within
from workbench.chapters.playing import SECOND, Played, said
from workbench.control.anomaly.burn import DAY, HOUR, MINUTE, RULES, BurnRate
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, percent
from workbench.metrics import Slo, meets
from workbench.report.results import Result
from workbench.stats.intervals import Interval, t_interval

PERIOD_S = 30 * 86_400.0  # what a budget is for
SLO = Slo(ttft_s=2.0)  # as in every shipped scenario
PPM = 1_000_000
KINDS = ("without", "with")


@dataclass(frozen=True)
class Burn:
    """One run. `bad_frac`: of what came from the first bad request on. `spent_frac`: of 30 days' budget, as played.
    `fires_s`: how long such must go on until each rule fires; infinite where it never does."""

    bad_frac: float
    spent_frac: float
    fires_s: Mapping[str, float]


Burns = Mapping[str, Mapping[str, tuple[Burn, ...]]]  # incident -> without | with -> a burn a seed


def burns(found: Mapping[str, Played], objective_frac: float) -> Burns:
    """Raises UsageError."""
    within("objective_frac", objective_frac, 0.9, 0.9999)
    objective_ppm = round(objective_frac * PPM)
    return {name: {kind: tuple(burn(run, objective_ppm) for run in played.runs[kind]) for kind in KINDS}
            for name, played in found.items()}


def burn(run: PlaneResult, objective_ppm: int) -> Burn:
    log = run.log.where(run.log.text("outcome") != "rejected")  # not allowed: no error of ours, as the plane counts
    bad, came_s = ~meets(log, SLO), log.floats("intended_ns") * SECOND
    if not bad.any():
        return Burn(0.0, 0.0, fires_s(0, objective_ppm))
    share = float(bad[came_s >= came_s[bad].min()].mean())
    a_month = len(bad) / float(np.ptp(came_s)) * PERIOD_S
    spent = float(bad.sum()) / (a_month * (1 - objective_ppm / PPM))
    return Burn(share, spent, fires_s(round(share * PPM), objective_ppm))


def fires_s(bad_ppm: int, objective_ppm: int) -> dict[str, float]:
    """After three days without an error, so many in a million go wrong, and go on: when does the policy say so?"""
    policy, found = BurnRate(objective_ppm), {rule.name: math.inf for rule in RULES}
    for at_ns, look_ns in _looks(-3 * DAY, (HOUR, -6 * HOUR), (MINUTE, 0)):
        policy.update(3 * DAY + at_ns - 1, 0, _seconds(look_ns) * PPM)
    for at_ns, look_ns in _looks(0, (MINUTE // 6, HOUR), (MINUTE, 6 * HOUR), (HOUR, 3 * DAY)):
        for alarm in policy.update(3 * DAY + at_ns - 1, _seconds(look_ns) * bad_ppm, _seconds(look_ns) * PPM):
            found[alarm.what] = min(found[alarm.what], at_ns * SECOND)
    return found


def _looks(at_ns: int, *spans: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """(end of a look, its length), each length until its end: fine while a page is due, coarse while a ticket is."""
    for look_ns, until_ns in spans:
        while at_ns < until_ns:
            at_ns += look_ns
            yield at_ns, look_ns


def _seconds(ns: int) -> int:
    return ns // 1_000_000_000


def alarm_chart(found: Burns, titles: Mapping[str, str], objective_frac: float) -> Chart:
    """Without the remedy; incidents that call nobody are not shown."""
    shown = {name: kinds["without"] for name, kinds in found.items()
             if any(interval([one.fires_s[rule.name] for one in kinds["without"]]) for rule in RULES)}
    names = tuple(titles[name] for name in shown)
    series = []
    for i, rule in enumerate(RULES):
        ends = [interval([one.fires_s[rule.name] for one in each]) for each in shown.values()]
        series.append(Series(
            f"{rule.severity}: {rule.name}", names, tuple(None if end is None else end.mean for end in ends),
            "simulated", "points", i, tuple(None if end is None else max(end.low, 1.0) for end in ends),
            tuple(None if end is None else end.high for end in ends)))
    n = len(next(iter(found.values()))["with"])
    return Chart(
        "alarms", "incident", (Panel("time until it fires (s)", tuple(series), log_y=True),),
        f"If one such incident followed the other, without the remedy: when each alarm on an objective of "
        f"{percent(objective_frac, 2)} would fire, after three days without an error. No mark: never, in at least one "
        "run.", f"n = {n} seeds of each, whiskers are 95 % intervals of the mean; a look every 10 s in the first hour",
        "Points over incidents, time on a logarithmic axis: pages fire after minutes to hours, tickets later.", names)


def interval(each: list[float]) -> Interval | None:
    """None where one is infinite; of one run, the run itself."""
    if not np.isfinite(each).all():
        return None
    return Interval(each[0], each[0], each[0], 1) if len(each) == 1 else t_interval(np.array(each))


def alarm_table(found: Burns, titles: Mapping[str, str], objective_frac: float) -> Table:
    rows = tuple((f"{titles[name]}, {kind}", *_row(found[name][kind], objective_frac))
                 for name in found for kind in KINDS)
    n = len(next(iter(found.values()))["with"])
    return Table(("incident, remedy", "bad requests (%)", "of 30 days' budget, as played (%)",
                  "first page, if it goes on (s)", "budget left after an hour of it (%)"), rows,
                 f"Simulated, n = {n} seeds; in brackets 95 % intervals of the mean. Bad: not answered, or the first "
                 f"token after more than {SLO.ttft_s:g} s; who was not allowed is not counted. Objective "
                 f"{percent(objective_frac, 2)}.")


def _row(each: tuple[Burn, ...], objective_frac: float) -> tuple[str, ...]:
    left = [100 * max(0.0, 1 - one.bad_frac * 3600 / PERIOD_S / (1 - objective_frac)) for one in each]
    return (_said([100 * one.bad_frac for one in each], most=100.0), _said([100 * one.spent_frac for one in each]),
            _said([first_page_s(one) for one in each]), _said(left, most=100.0))


def first_page_s(one: Burn) -> float:
    return min(one.fires_s[rule.name] for rule in RULES if rule.severity == "page")


def _said(each: list[float], most: float = math.inf) -> str:
    found = interval(each)
    if found is None:
        return f"never in {sum(map(math.isinf, each))} of {len(each)} runs"
    return said(found.mean, *((None, None) if found.n == 1 else (max(found.low, 0.0), min(found.high, most))))


def results(found: Burns) -> list[Result]:
    rows = []
    for name, kinds in found.items():
        for kind, each in kinds.items():
            page, spent = interval([first_page_s(one) for one in each]), interval([one.spent_frac for one in each])
            for stem, unit, row in (("first_page_s", "s", page), ("budget_spent_frac", "", spent)):
                if row is not None:
                    rows.append(Result(f"{name}_{kind}_{stem}", row.mean, unit, "simulated", row.n, max(row.low, 0.0),
                                       row.high))
    return rows
