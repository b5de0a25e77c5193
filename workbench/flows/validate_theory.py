"""`validate theory`: simulated queues against their formulas, with intervals narrow enough to see a 2 % bug."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from workbench.flows.theory_systems import SYSTEMS, Sample, System

KIND, SCHEMA = "workbench.theory", 1
BUG_FACTOR = 1.02  # what must be caught: every service 2 % too long
LEVEL = 0.9973  # "three sigma", by Student's t
SEEDS, REQUESTS = 40, 10_000  # the full version; requests per seed


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds, freed by regression of the luck in the drawn inputs, with its interval at LEVEL."""

    mean: float
    standard_error: float
    half_width: float
    n: int

    def rejects(self, expected: float) -> bool:
        return abs(self.mean - expected) > self.half_width

    def power(self, shift: float) -> float:
        """Probability of rejecting when the truth lies `shift` away."""
        if not self.standard_error:
            return 1.0
        return float(stats.norm.cdf((abs(shift) - self.half_width) / self.standard_error))


def estimate(values: Sequence[float], controls: Sequence[Sequence[float]]) -> Estimate:
    """Control variates (Lavenberg and Welch, Management Science 27, 1981): the intercept of a regression of each
    seed's result on its inputs minus their true means. What is drawn is not the simulator's, so a bug stays."""
    found = np.asarray(values, dtype=float)
    given = np.asarray(controls, dtype=float)
    given = given[:, given.std(axis=0) > 0] if given.size else given.reshape(len(found), 0)
    design = np.column_stack([np.ones(len(found)), given])
    spare = len(found) - design.shape[1]
    if spare < 1:
        raise ValueError(f"{len(found)} seeds for {design.shape[1]} unknowns: give more seeds")
    coefficients, *_ = np.linalg.lstsq(design, found, rcond=None)
    rest = found - design @ coefficients
    variance = float(rest @ rest) / spare * float(np.linalg.inv(design.T @ design)[0, 0])
    error = math.sqrt(max(0.0, variance))
    return Estimate(float(coefficients[0]), error, float(stats.t.ppf(0.5 + LEVEL / 2, spare)) * error, len(found))


def check(system: System, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row for each quantity of the system."""
    rows = []
    expected, with_bug = system.expected(1.0), system.expected(BUG_FACTOR)
    for name, wanted in expected.items():
        found = estimate([item.values[name] for item in samples], [item.controls for item in samples])
        rows.append({
            "system": system.name, "title": system.title, "quantity": name,
            "unit": "" if name.endswith("_frac") else "mean services", "formula": wanted, "simulated": found.mean,
            "low": found.mean - found.half_width, "high": found.mean + found.half_width, "n": found.n,
            "rel_error_frac": found.mean / wanted - 1.0, "agrees": not found.rejects(wanted),
            "with_2_percent_bug": with_bug[name], "power_frac": found.power(with_bug[name] - wanted),
        })
    return rows


def validate_theory(
    *, seeds: int = SEEDS, requests: int = REQUESTS, factor: float = 1.0, systems: Iterable[System] = SYSTEMS,
    on_system: Callable[[str], None] | None = None, **options: Any,
) -> dict[str, Any]:
    """Every system over `seeds` seeds of `requests` requests. `factor` makes services longer than they should be:
    it is for showing that the check can fail. `options` go to `simulate`."""
    rows: list[dict[str, Any]] = []
    for system in systems:
        if on_system is not None:
            on_system(system.title)
        rows += check(system, [system.sample(seed, requests, factor, **options) for seed in range(seeds)])
    return {
        "kind": KIND, "schema": SCHEMA, "seeds": seeds, "requests_per_seed": requests, "level": LEVEL,
        "service_factor": factor, "checks": rows, "agree": sum(row["agrees"] for row in rows), "of": len(rows),
        "lowest_power_frac": min(row["power_frac"] for row in rows),
    }
