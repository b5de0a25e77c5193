"""Which settings are better, where that can be told: ranked only where the interval of the difference leaves out
zero."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from workbench.flows.sweeps.points import Point
from workbench.flows.sweeps.spec import Decide
from workbench.stats.estimate import Estimate, independent
from workbench.stats.simultaneous import simultaneous

HIGHER_IS_BETTER = frozenset({"output_tok_per_s", "goodput_rps"})
OWN_FIELDS = frozenset({"usd_per_million_tok"})  # of the row itself, not among its metrics


@dataclass(frozen=True, slots=True)
class Pair:
    """Two settings under the same workload and load; `difference` is second - first with its simultaneous interval."""

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    better: str | None  # None: not told apart
    why_not: str | None = None


def value(row: Mapping[str, Any], metric: str) -> float | None:
    found = row[metric] if metric in OWN_FIELDS else row["metrics"].get(metric)
    return None if found is None else float(found)


def by_case(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, float], dict[str, list[Mapping[str, Any]]]]:
    """(workload, load) -> setting -> its good runs, in order of repeats."""
    found: dict[tuple[str, float], dict[str, list[Mapping[str, Any]]]] = {}
    for row in sorted(rows, key=lambda row: (row["asked"]["repeat"], row["id"])):
        if row["status"] == "ok" and not row["asked"]["searched"]:
            asked = row["asked"]
            case = (asked["workload"], float(asked["rate_per_s"] or asked["concurrency"]))
            found.setdefault(case, {}).setdefault(row["setting_key"], []).append(row)
    return found


def pairs(runs: Mapping[str, Sequence[Mapping[str, Any]]], metric: str, level: float = 0.95) -> list[Pair]:
    """All pairs of one case; intervals hold together (Bonferroni), repeats are independent runs (Welch)."""
    values = {key: [v for row in rows if (v := value(row, metric)) is not None] for key, rows in runs.items()}
    told: list[tuple[str, str, Estimate]] = []
    short: list[Pair] = []
    for first, second in combinations(sorted(values), 2):
        a, b = np.array(values[first], dtype=np.float64), np.array(values[second], dtype=np.float64)
        if len(a) < 2 or len(b) < 2:
            short.append(Pair(first, second, None, None, None, None, "fewer than two repeats"))
        else:
            told.append((first, second, independent(a, b)))
    found = []
    for (first, second, _), same in zip(told, simultaneous([item for _, _, item in told], level), strict=True):
        interval, better = same.interval, None
        if same.different:
            second_is_better = (interval.mean > 0) == (metric in HIGHER_IS_BETTER)
            better = second if second_is_better else first
        found.append(Pair(first, second, interval.mean, interval.low, interval.high, better))
    return found + short


def best_and_rivals(runs: Mapping[str, Sequence[Mapping[str, Any]]], metric: str) -> list[str]:
    """The setting with the best mean, and each that cannot be told apart from it."""
    means = {key: float(np.mean(found)) for key, rows in runs.items()
             if (found := [v for row in rows if (v := value(row, metric)) is not None])}
    if not means:
        return []
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    best = min(means, key=lambda key: (sign * means[key], key))
    beaten = {pair.first if pair.better == pair.second else pair.second
              for pair in pairs(runs, metric) if pair.better == best}
    return [best, *(key for key in sorted(means) if key != best and key not in beaten)]


def next_repeats(decide: Decide, seed: int, rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """One more repeat of the best and its rivals, case by case; empty when all is told apart or repeated enough."""
    found = []
    for _, runs in sorted(by_case(rows).items()):
        rivals = best_and_rivals(runs, decide.metric)
        if len(rivals) < 2:
            continue
        for key in rivals:
            repeat = 1 + max(row["asked"]["repeat"] for row in runs[key])
            if repeat < decide.repeats:
                asked = Point.from_dict(runs[key][-1]["asked"])
                found.append(Point(asked.setting, asked.workload, asked.rate_per_s, asked.concurrency, repeat,
                                   seed + repeat))
    return found
