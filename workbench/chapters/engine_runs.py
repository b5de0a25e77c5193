"""One engine's batching under changed rules, over seeds: what chapters on engines and troubleshooting compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sims.result import SimResult
from sims.run import simulate
from sims.scenario import rules_for
from workbench.figures.chart import Panel, Series
from workbench.figures.table import Table, number
from workbench.metrics import PER_RUN, run_values, values
from workbench.profile import profile as profiles
from workbench.profile.locate import shipped
from workbench.report.results import Result
from workbench.stats.intervals import Interval, t_interval
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

PROFILE = "llama-3.1-8b-h100-tp1-bf16"
Figure = Callable[[SimResult], float]
_RUN = {metric.name for metric in PER_RUN}


@dataclass(frozen=True)
class Variant:
    """What differs: the engine's rules, the workload, the number of replicas, the profile."""

    rules: Mapping[str, Any] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 1
    profile: str = PROFILE


@dataclass(frozen=True)
class Runs:
    """name -> a result a seed."""

    found: Mapping[str, Sequence[SimResult]]
    seeds: tuple[int, ...]
    profile: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.found)

    @property
    def basis(self) -> str:
        n = sum(len(run.log) for run in next(iter(self.found.values())))
        return (f"n = {len(self.seeds)} seeds ({self.seeds[0]} to {self.seeds[-1]}), {n} requests for each variant; "
                f"whiskers are 95 % intervals of the mean; profile {self.profile}")

    def interval(self, name: str, figure: Figure) -> Interval:
        return t_interval(np.array([figure(run) for run in self.found[name]]))

    def series(self, label: str, figure: Figure, colour: int = 0) -> Series:
        rows = [self.interval(name, figure) for name in self.names]
        return Series(label, self.names, tuple(row.mean for row in rows), "simulated", "points", colour,
                      tuple(max(row.low, 0.0) for row in rows), tuple(row.high for row in rows))

    def panel(self, y_axis: str, figures: Mapping[str, Figure], *, first_colour: int = 0, log_y: bool = False) -> Panel:
        made = [self.series(label, figure, first_colour + i) for i, (label, figure) in enumerate(figures.items())]
        return Panel(y_axis, tuple(made), log_y=log_y)

    def results(self, stem: str, unit: str, figure: Figure) -> list[Result]:
        rows = {name: self.interval(name, figure) for name in self.names}
        return [Result(f"{stem}_{name.replace(' ', '_')}", row.mean, unit, "simulated", row.n, max(row.low, 0.0),
                       row.high) for name, row in rows.items()]

    def table(self, columns: Mapping[str, Figure], caption: str) -> Table:
        rows = tuple((name, *(said(self.interval(name, figure)) for figure in columns.values())) for name in self.names)
        return Table(("variant", *columns), rows, f"{caption} Simulated; {self.basis}.")


def run(base: Mapping[str, Any], variants: Mapping[str, Variant], seeds: Sequence[int]) -> Runs:
    """Each variant on the same draws, seed by seed. `base` is a [workload] table; a variant's own keys replace it."""
    found: dict[str, list[SimResult]] = {}
    for name, variant in variants.items():
        profile = profiles.read(shipped()[variant.profile])
        rules = rules_for(profile, dict(variant.rules))
        spec = WorkloadSpec.model_validate({**base, **variant.workload})
        found[name] = [
            simulate(draw(spec, seed), profile, rules, replicas=variant.replicas, seed=seed, keep_journal=False)
            for seed in seeds
        ]
    return Runs(found, tuple(seeds), next(iter(variants.values())).profile)


def of(metric: str, q: float | None = None) -> Figure:
    """A metric of the run, or the mean (or quantile) of one of its requests."""
    def figure(result: SimResult) -> float:
        if metric in _RUN:
            value = run_values(result.log, {})[metric]
            return float("nan") if value is None else value
        each = values(result.log, metric)
        return float(each.mean() if q is None else np.quantile(each, q))
    return figure


def preemptions(result: SimResult) -> float:
    return float(result.preemptions)


def cached_frac(result: SimResult) -> float:
    """Of all prompt tokens, those that were not computed again."""
    return float(result.log.ints("cached_tok", 0).sum() / result.log.ints("prompt_tok", 0).sum())


def mean_batch(result: SimResult) -> float:
    return float(result.facts["mean_batch"])


def said(row: Interval) -> str:
    return f"{number(row.mean)} ± {number((row.high - row.low) / 2)}"
