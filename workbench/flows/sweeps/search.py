"""The highest rate that meets an SLO, from what was measured so far: a pure function, so that a rerun goes on where
a killed search stopped."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.flows.sweeps.points import Point, Setting
from workbench.flows.sweeps.spec import SearchSpec, SweepSpec
from workbench.stats.intervals import t_interval

Verdict = Literal["meets", "fails", "undecided"]
HALVINGS = 6  # below from_rate / 2**6 nothing is tried


@dataclass(frozen=True, slots=True)
class Found:
    """`rate_per_s` None: not even the lowest rate tried met the SLO. `failed_at` is the lowest that did not."""

    rate_per_s: float | None
    failed_at: float | None
    rates_tried: int
    why: str


def verdict(search: SearchSpec, rows: Sequence[dict[str, Any]]) -> Verdict:
    """Of the runs at one rate. One run is judged by batch means, several by Student's t over the runs; a run that
    failed, or in which answers piled up, decides against."""
    if any(row["status"] != "ok" or row["slo"]["saturated"] for row in rows):
        return "fails"
    if len(rows) == 1:
        low, high = rows[0]["slo"]["low"], rows[0]["slo"]["high"]
        if low is None:
            return "undecided"
    else:
        found = t_interval(np.array([row["slo"]["attainment_frac"] for row in rows], dtype=np.float64))
        low, high = found.low, found.high
    return "meets" if low >= search.target_frac else "fails" if high < search.target_frac else "undecided"


def rounded(rate: float) -> float:
    """To three figures, so that the same search asks for the same rates on every machine."""
    return float(f"{rate:.3g}")


def next_rate(search: SearchSpec, met: Sequence[float], failed: Sequence[float]) -> float | Found:
    """The rate to try next, or what was found: doubling, then bisection (geometric, for rates span decades)."""
    tried = len(met) + len(failed)
    if not tried:
        return search.from_rate_per_s
    high = min(failed, default=None)
    low = max((rate for rate in met if high is None or rate < high), default=None)
    if high is None:
        assert low is not None
        if low >= search.most_rate_per_s:
            return Found(low, None, tried, "met at most_rate_per_s: the limit is above it")
        return min(rounded(2 * low), search.most_rate_per_s)
    if low is None:
        below = rounded(high / 2)
        if below < search.from_rate_per_s / 2**HALVINGS:
            return Found(None, high, tried, "met at no rate tried")
        return below
    middle = rounded(math.sqrt(low * high))
    if high <= low * (1 + search.within_frac) or not low < middle < high:
        return Found(low, high, tried, "bracketed")
    return middle


def next_point(
    spec: SweepSpec, setting: Setting, workload: str, rows: Iterable[dict[str, Any]]
) -> Point | Found:
    """What this setting's search asks for next, given the finished points of its setting and workload."""
    search = spec.load.search
    assert search is not None
    by_rate: dict[float, list[dict[str, Any]]] = {}
    for row in rows:
        asked = row["asked"]
        if row["setting_key"] == setting.key and asked["workload"] == workload and asked["searched"]:
            by_rate.setdefault(asked["rate_per_s"], []).append(row)
    met: list[float] = []
    failed: list[float] = []
    for rate, runs in sorted(by_rate.items()):
        said = verdict(search, runs)
        if said == "undecided" and len(runs) < search.repeats:
            return _point(spec, setting, workload, rate, len(runs))
        (met if said == "meets" else failed).append(rate)  # what repeats could not show to meet, does not
    found = next_rate(search, met, failed)
    return found if isinstance(found, Found) else _point(spec, setting, workload, found, 0)


def _point(spec: SweepSpec, setting: Setting, workload: str, rate: float, repeat: int) -> Point:
    return Point(setting, workload, rate, None, repeat, spec.seed + repeat, searched=True)
