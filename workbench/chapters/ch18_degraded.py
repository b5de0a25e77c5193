"""Chapter 18: a new version answers worse. How many answers are spoilt until it is taken back?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.chapters.about import within
from workbench.control.anomaly.change import Cusum
from workbench.control.models.canary import Canary
from workbench.control.models.registry import ModelRegistry, Version
from workbench.figures.chart import Chart, Panel, Series
from workbench.report.results import Result
from workbench.stats.intervals import Interval, t_interval

Floats = NDArray[np.float64]
BAD_FRAC = 0.02  # of the old version's answers
TIMES = (1.25, 1.5, 2.0, 3.0, 5.0)  # the new one's, as a multiple
REQUESTS, STEP, LEARN, USERS = 20_000, 200, 60, 3000  # the alarm counts complaints in steps of so many requests


def nobody(luck: Floats, times: float, _: int) -> int:
    """The new version answers everybody, and nobody looks."""
    return int(_spoilt(luck, times).sum())


def alarm(luck: Floats, times: float, seed: int) -> int:
    """Everybody at once; a detector that has learnt the old version's complaints looks at every step."""
    detector = Cusum(learn=LEARN)
    for step, count in enumerate(np.random.default_rng([seed, 1]).binomial(STEP, BAD_FRAC, LEARN)):
        detector.update(step, int(count))
    for step, end in enumerate(range(STEP, len(luck) + 1, STEP)):
        if detector.update(LEARN + step, int((luck[end - STEP:end] < BAD_FRAC * times).sum())) is not None:
            return int(_spoilt(luck[:end], times).sum())
    return nobody(luck, times, seed)


def canary(luck: Floats, times: float, seed: int) -> int:
    """A few users first, more as the evidence allows; a sequential test decides."""
    registry = ModelRegistry([Version("chat", name, f"{name * 8}", 8192) for name in ("1", "2")])
    registry.split(0, "chat", {"chat@1": 1})
    policy = Canary(registry, "chat", "chat@1", "chat@2")
    policy.begin(0)
    spoilt, users = 0, np.random.default_rng([seed, 2]).integers(0, USERS, len(luck))
    for i, (one, user, worse) in enumerate(zip(luck.tolist(), users.tolist(), _spoilt(luck, times).tolist(),
                                               strict=True)):
        name = registry.resolve(i, "chat", str(user)).version.name
        new = name == "chat@2"
        spoilt += worse and new
        policy.outcome(i, name, one < BAD_FRAC * (times if new else 1.0))
    return spoilt


def _spoilt(luck: Floats, times: float) -> NDArray[np.bool_]:
    """Bad with the new version, and good with the old one."""
    return (luck >= BAD_FRAC) & (luck < BAD_FRAC * times)


WAYS: Mapping[str, Callable[[Floats, float, int], int]] = {
    "all at once": nobody, "all at once, with an alarm": alarm, "a canary": canary}


@dataclass(frozen=True)
class Degraded:
    """Spoilt answers by way, over how much worse the new version is."""

    times: tuple[float, ...]
    spoilt: Mapping[str, tuple[Interval, ...]]
    seeds: int
    requests: int


def degraded(seeds: int, quick: bool) -> Degraded:
    """The same luck for every way. Raises UsageError."""
    within("seeds", seeds, 2, 20)
    times, n, requests = (TIMES[::2], 2, REQUESTS // 4) if quick else (TIMES, seeds, REQUESTS)
    luck = [np.random.default_rng(seed).random(requests) for seed in range(1, n + 1)]
    return Degraded(times, {name: tuple(
        t_interval(np.array([float(way(one, ratio, seed)) for seed, one in enumerate(luck, 1)])) for ratio in times)
        for name, way in WAYS.items()}, n, requests)


def degraded_chart(found: Degraded) -> Chart:
    series = tuple(Series(name, found.times, tuple(row.mean or None for row in rows), "simulated", "line", i,
                          tuple(max(row.low, 0.1) for row in rows), tuple(row.high for row in rows))
                   for i, (name, rows) in enumerate(found.spoilt.items()))
    return Chart(
        "degraded", "bad answers of the new version (multiple of the old one's)",
        (Panel("answers that the old version would not have spoilt (number)", series, log_y=True),),
        f"{BAD_FRAC:.0%} of the old version's answers are bad. A canary spoils few answers however bad it is, and "
        "takes longest to say so; an alarm lets everybody see the new version until it fires.",
        f"n = {found.seeds} seeds of {found.requests:,} requests, whiskers are 95 % intervals of the mean, cut off "
        "at a tenth; the plane's own policies, outcomes drawn",
        "Lines over how much worse the new version is, on a logarithmic axis: without a look spoilt answers grow, with "
        "an alarm they are some dozens, with a canary they are fewest.")


def results(found: Degraded) -> list[Result]:
    return [Result(f"spoilt_{name.replace(',', '').replace(' ', '_')}_times_{ratio:g}", row.mean, "answers",
                   "simulated", row.n, max(row.low, 0.0), row.high)
            for name, rows in found.spoilt.items() for ratio, row in zip(found.times, rows, strict=True)]
