"""One plane scenario, many seeds: what a worker gets, and the figures that it hands back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sims.plane.custom import blamed
from sims.plane.run import PlaneResult
from sims.plane.scenario import PlaneCase
from workbench.errors import Failure
from workbench.flows.fairness import Fairness, fairness
from workbench.flows.plane_policies import Chosen, classes
from workbench.flows.replicate import EVERY_TIER, flat
from workbench.metrics import METRICS, Metric, arrived, summarise
from workbench.runlog.table import RunLog

PUSD = 1e-12
TENANT = "tenant:"  # begins the scope of a figure that is one tenant's
OWN: Mapping[str, Metric] = {item.name: item for item in (
    Metric("cost_usd", "USD", "lower", "cost of the fleet over the run", "replicas x price x time"),
    Metric("revenue_usd", "USD", "higher", "revenue", "what the ledger charged"),
    Metric("jain_index", "", "higher", "Jain's index", "of service / weight over jointly backlogged time"),
    Metric("share_error_frac", "", "lower", "error of shares", "largest |share - weight's share| of a tenant"),
    Metric("joint_frac", "", "", "jointly backlogged", "time in which every tenant had something waiting / run"),
    Metric("joint_output_tok_per_s", "tok/s", "higher", "output tokens per second while all wait",
           "output tokens in jointly backlogged time / that time"),
    Metric("busy_frac", "", "", "replicas at work", "time in iterations / replicas x run"),
    Metric("service_share_frac", "", "", "share of service", "service of a tenant / of all, jointly backlogged time"),
)}
KNOWN: Mapping[str, Metric] = {**METRICS, **OWN}


@dataclass(frozen=True, slots=True)
class PlaneTask:
    """One seed of one case. `weights` of the tenants whose shares are looked at, who wait for the same replicas."""

    case: PlaneCase
    seed: int
    chosen: tuple[Chosen, ...] = ()
    weights: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PlaneReplication:
    """One seed's figures: tier, `all` or `tenant:NAME` -> "ttft_s.p95" -> value, None where it cannot be known."""

    seed: int
    figures: Mapping[str, Mapping[str, float | None]]
    outcomes: Mapping[str, int]  # of all requests that arrived, warm-up included
    answered: int  # by a cache, in `ok` too
    unpriced: int
    iterations: int


def replicate_plane(task: PlaneTask) -> PlaneReplication:
    """Simulate one seed. The journal is not kept."""
    custom = classes(task.chosen)
    with blamed(custom):
        result = task.case.run(task.seed, custom, keep_journal=False)
    log, tally = result.log, result.plane.desk.tally
    if sum(log.outcomes().values()) != len(log) or tally.ended + len(result.plane.desk.inside) != tally.arrived:
        raise Failure(f"simulator bug: {tally.arrived} requests arrived, {tally.ended} ended")
    return PlaneReplication(
        task.seed, figures_of(result, task.case, task.weights or {}), arrived(log).outcomes(), tally.answered,
        tally.unpriced, sum(result.iterations))


def figures_of(
    result: PlaneResult, case: PlaneCase, weights: Mapping[str, int]
) -> dict[str, dict[str, float | None]]:
    """Over all, of each tier where there is more than one, and of each tenant whose share is looked at."""
    log, slo = result.log, case.scenario.slo_by_tier
    found = {EVERY_TIER: flat(summarise(log, slo))}
    tiers = log.text("tier")
    names = sorted(set(arrived(log).text("tier").tolist()))
    for name in names if len(names) > 1 else ():
        found[name] = flat(summarise(log.where(np.asarray(tiers == name, dtype=bool)), slo))
    found[EVERY_TIER] |= _money(result) | {"busy_frac.value": _busy_frac(result)}
    if weights:
        told = fairness(log, weights)
        found[EVERY_TIER] |= _fairness(told)
        found |= {f"{TENANT}{name}": {"service_share_frac.value": told.share_frac(name)} for name in weights}
    return found


def _fairness(told: Fairness) -> dict[str, float | None]:
    return {"jain_index.value": told.jain, "share_error_frac.value": told.error_frac,
            "joint_frac.value": told.joint_frac, "joint_output_tok_per_s.value": told.output_tok_per_s}


def _money(result: PlaneResult) -> dict[str, float | None]:
    """From ledger and log, exact until here; without prices or without a fleet's price there is no figure."""
    found: dict[str, float | None] = {}
    if result.plane.desk.billing is not None:
        found["revenue_usd.value"] = -result.plane.desk.billing.ledger.group("revenue") * PUSD
    cost = _cost_pusd(result.log)
    return found if cost is None else {**found, "cost_usd.value": cost * PUSD}


def _cost_pusd(log: RunLog) -> int | None:
    return None if log.table.column("cost_pusd").null_count else int(log.ints("cost_pusd").sum())


def _busy_frac(result: PlaneResult) -> float | None:
    whole_ns = result.stop_ns * len(result.busy_ns)
    return sum(result.busy_ns) / whole_ns if whole_ns else None


def about_case(case: PlaneCase) -> dict[str, Any]:
    """What a plane scenario runs on, in a JSON's words."""
    subject = case.profile.subject
    return {"profile_source": case.profile.source, "profile_sha256": case.profile.sha256, "profile": {
        "model": subject.model, "quant": subject.quant, "gpu": subject.gpu, "parallel": str(case.profile.parallel)}}
