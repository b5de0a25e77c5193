"""What every comparison shares: how many replications, which differences, and how sure of them all at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.flows.replicate import EVERY_TIER
from workbench.metrics import Metric
from workbench.stats import two_stage
from workbench.stats.estimate import Estimate, independent, paired
from workbench.stats.simultaneous import Simultaneous, each_level, simultaneous

KIND, SCHEMA, LEVEL = "workbench.comparison", 1, 0.95
FIRST_STAGE = 10
COST = Metric("cost_usd", "USD", "lower", "cost of the fleet over the run", "replicas x price x duration")
OnStage = Callable[[str], None]
Floats = NDArray[np.float64]


class Named(Protocol):
    """A variant: `paired` where it shares the baseline's random numbers."""

    @property
    def name(self) -> str: ...
    @property
    def paired(self) -> bool: ...


class Figured(Protocol):
    """One replication: tier -> "ttft_s.mean" -> value, None where it cannot be known."""

    @property
    def figures(self) -> Mapping[str, Mapping[str, float | None]]: ...


R = TypeVar("R", bound=Figured)
Runs = Sequence[Sequence[Figured]]  # of each variant, in order of the replications


@dataclass(frozen=True, slots=True)
class Effort:
    """How many replications: a number, or as many as `half_width_frac` of the baseline's means needs, up to `most`."""

    replications: int = FIRST_STAGE
    half_width_frac: float | None = None
    most: int = 200

    def __post_init__(self) -> None:
        if self.replications < 2:
            raise UsageError(f"--replications {self.replications}: at least 2, else a comparison has no interval")
        if self.half_width_frac is not None and not 0 < self.half_width_frac < 1:
            raise UsageError(f"--until-half-width {self.half_width_frac:.3g}: between 0 and 100 %, such as 5%")
        if self.half_width_frac is not None and self.most < self.replications:
            raise UsageError(f"--max-replications {self.most} is below the first stage's {self.replications}")


@dataclass(frozen=True)
class Asked:
    """Which figures are compared: `names(tier)`; what each is: `metrics`; and those that --until-half-width narrows."""

    names: Callable[[str], Sequence[str]]
    metrics: Mapping[str, Metric]
    narrowed: Sequence[str]

    def declared(self, name: str) -> dict[str, str]:
        metric, _, stat = name.partition(".")
        known = self.metrics[metric]
        return {"metric": metric, "stat": stat, "unit": known.unit, "better": known.better}


def known(name: str, metrics: Mapping[str, Metric]) -> str:
    """`ttft_s` means its mean, a metric of a run its value. UsageError for what nobody knows."""
    metric, _, stat = name.partition(".")
    if metric not in metrics:
        raise UsageError(f"--metric {name}: unknown; known: {', '.join(metrics)}")
    of_request = metrics[metric].per_request is not None
    stats = ("mean", "p50", "p95", "p99", "max") if of_request else ("value",)
    if stat and stat not in stats:
        raise UsageError(f"--metric {name}: {metric} has {', '.join(stats)}")
    return f"{metric}.{stat or stats[0]}"


def staged(
    found: Sequence[Named], asked: Asked, effort: Effort, more: Callable[[int, int], list[list[R]]],
    on_stage: OnStage | None = None,
) -> tuple[list[list[R]], dict[str, Any] | None]:
    """(runs of each variant, the two stages or None). `more(first, last)` runs these replications of every variant."""
    runs = more(0, effort.replications)
    if effort.half_width_frac is None:
        return runs, None
    level = each_level(len(comparisons(found, runs, asked, None)[0]), LEVEL)
    stages = _second_stage(found, runs, effort, asked.narrowed, level)
    total = stages["replications"]
    if total > effort.replications:
        if on_stage is not None:
            on_stage(f"second stage: {total} replications in all")
        runs = [a + b for a, b in zip(runs, more(effort.replications, total), strict=True)]
    return runs, stages


def compared(
    found: Sequence[Named], runs: Runs, asked: Asked, effort: Effort, stages: Mapping[str, Any] | None,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The part of the JSON that all comparisons have (docs/statistics.md says its shape)."""
    first = None if stages is None else effort.replications
    rows, left_out = comparisons(found, runs, asked, first)
    return {
        "kind": KIND, "schema": SCHEMA, "origin": "simulated", "level": LEVEL, "baseline": found[0].name,
        "replications": {"n": len(seeds), "seeds": list(seeds), "two_stage": stages},
        "method": {"interval": _method(first),
                   "simultaneous": f"Bonferroni over {len(rows)} comparisons: all intervals hold together",
                   "verdict": "better or worse where the simultaneous interval leaves out zero"},
        "comparisons": rows, "not_compared": left_out,
    }


def _method(first: int | None) -> str:
    if first is None:
        return "Student t over replications; paired where `paired`, else Welch"
    return (f"Stein's two stages: mean over all replications, spread and degrees of freedom of the first {first}; runs "
            "that do not pair by the differences of equally numbered ones")


def _second_stage(
    found: Sequence[Named], runs: Runs, effort: Effort, names: Sequence[str], level: float
) -> dict[str, Any]:
    """How many replications the widest of the named differences needs, for its interval at the level shown."""
    assert effort.half_width_frac is not None
    needs: dict[str, int] = {}
    for variant, mine in zip(found[1:], runs[1:], strict=True):
        for name in names:
            a, b = values(runs[0], EVERY_TIER, name), values(mine, EVERY_TIER, name)
            if a is None or b is None or not np.mean(a):
                continue
            # unpaired: the difference of equally numbered replications is one of independent values all the same
            target = effort.half_width_frac * abs(float(np.mean(a)))
            needs[f"{variant.name}: {name}"] = two_stage.needed(b - a, target, level)
    if not needs:
        raise UsageError(f"--until-half-width: none of {', '.join(names)} is known in every replication")
    wanted = max(needs.values())
    return {
        "first": effort.replications, "half_width_frac": effort.half_width_frac, "metrics": list(names),
        "level": level, "needed": wanted, "needed_by": max(needs, key=lambda key: needs[key]),
        "replications": min(wanted, effort.most), "reached": wanted <= effort.most,
    }


def comparisons(
    found: Sequence[Named], runs: Runs, asked: Asked, first: int | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows with their intervals, what could not be compared and why). A figure that neither side ever has, such as a
    cost without a price, is in neither."""
    kept: list[tuple[dict[str, Any], Estimate]] = []
    left_out: list[dict[str, Any]] = []
    base = runs[0]
    for variant, mine in zip(found[1:], runs[1:], strict=True):
        for tier in dict.fromkeys([*base[0].figures, *mine[0].figures]):
            for name in asked.names(tier):
                if not any(name in item.figures.get(tier, {}) for item in (*base, *mine)):
                    continue
                a, b = values(base, tier, name), values(mine, tier, name)
                head = {"variant": variant.name, "tier": tier, **asked.declared(name)}
                if a is None or b is None:
                    left_out.append(head | {"why": _unknown(base, mine, tier, name)})
                    continue
                estimate = _estimate(a, b, variant, first)
                mean = float(np.mean(a))
                kept.append((head | {
                    "paired": variant.paired, "baseline_mean": mean, "variant_mean": float(np.mean(b)),
                    "difference": estimate.mean, "rel_difference_frac": estimate.mean / mean if mean else None,
                }, estimate))
    family = simultaneous([estimate for _, estimate in kept], LEVEL)
    return [_row(head, estimate, item) for (head, estimate), item in zip(kept, family, strict=True)], left_out


def _estimate(a: Floats, b: Floats, variant: Named, first: int | None) -> Estimate:
    if first is not None:
        return two_stage.estimate(b - a, first)
    return paired(a, b) if variant.paired else independent(a, b)


def _row(head: dict[str, Any], estimate: Estimate, item: Simultaneous) -> dict[str, Any]:
    alone, together = estimate.interval(LEVEL), item.interval
    return head | {
        "low": alone.low, "high": alone.high, "p": estimate.p, "n": estimate.n,
        "simultaneous": {"low": together.low, "high": together.high, "level": item.level, "p": item.p,
                         "p_holm": item.p_holm},
        "verdict": verdict(head["better"], item),
    }


def verdict(better: str, item: Simultaneous) -> str:
    """`different` only where the simultaneous interval of the difference leaves out zero."""
    if not item.different:
        return "no difference shown"
    way = "higher" if item.interval.mean > 0 else "lower"
    return way if not better else ("better" if way == better else "worse")


def values(runs: Sequence[Figured], tier: str, name: str) -> Floats | None:
    """One value a replication; None where one of them cannot know it."""
    found = [item.figures.get(tier, {}).get(name) for item in runs]
    known_ = [value for value in found if value is not None]
    return np.array(known_, dtype=np.float64) if len(known_) == len(found) else None


def _unknown(base: Sequence[Figured], mine: Sequence[Figured], tier: str, name: str) -> str:
    missing = sum(item.figures.get(tier, {}).get(name) is None for item in (*base, *mine))
    return f"n/a in {missing} of {len(base) + len(mine)} runs: too few requests for it, or none that has it"
