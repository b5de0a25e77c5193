"""What one seed of a plane scenario comes to: by tier, by tenant, money, and what happened to the fleet."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sims.plane.clients import MARK
from sims.plane.run import PlaneResult
from sims.plane.scenario import PlaneCase
from workbench.control.plane.desk import Desk
from workbench.metrics import Slo, arrived, summarise
from workbench.runlog.table import RunLog

PUSD_PER_USD = 10**12
KEPT = ("p50", "p95", "p99")
STATUS = re.compile(r"(\d{3}) (.+)", re.DOTALL)
TOKENS = re.compile(r"\b\d+(?= tokens exceed)|(?<=memory of the fleet: )\d+")  # of each request its own


def tiered(log: RunLog, desk: Desk) -> RunLog:
    """With the tier that the plane gave each tenant; the workload need not say it."""
    book = desk.tenants
    if book is None:
        return log
    known = {name: book.tier_of(name) if name in book.names or book.default_tier else None
             for name in set(log.text("tenant").tolist())}
    pairs = zip(log.text("tenant").tolist(), log.text("tier").tolist(), strict=True)
    column = pa.array([known[tenant] or tier for tenant, tier in pairs], pa.string())
    place = log.table.schema.get_field_index("tier")
    return RunLog(log.provenance, log.table.set_column(place, log.table.schema.field("tier"), column), log.partial,
                  log.segments)


def slo_by_tier(case: PlaneCase, desk: Desk) -> dict[str, Slo]:
    """As the scenario says; of a tier that it does not name, what the tenants' book promises."""
    promised = {} if desk.tenants is None else desk.tenants.targets()
    found = {tier: Slo(_s(target.get("ttft_ns")), None, _s(target.get("e2e_ns"))) for tier, target in promised.items()}
    return found | {tier: spec.as_slo() for tier, spec in case.scenario.slo.items()}


def summary(case: PlaneCase, seed: int, log: RunLog, result: PlaneResult) -> dict[str, Any]:
    """All that is a number. Metrics leave the warm-up out, money and the tally do not."""
    desk, slo = result.plane.desk, slo_by_tier(case, result.plane.desk)
    tiers, tenants = by_class(set(arrived(log).text("tier")), desk), sorted(set(arrived(log).text("tenant")))
    over = summarise(log, slo)
    over.pop("kind")
    over.pop("schema")
    return over | {
        "seed": seed, "arrived": len(arrived(log)), "stop_ns": result.stop_ns, "slo": {k: asdict(v) for k, v in
                                                                                        slo.items()},
        "tiers": {name: group(_of(log, "tier", name), slo) for name in tiers},
        "tenants": {name: group(_of(log, "tenant", name), slo) for name in tenants},
        "refusals": refusals(log), "tally": asdict(desk.tally), "money": money(log, priced=desk.billing is not None),
        "replicas": len(desk.fleet.specs), "replica_ns": list(result.replica_ns), "busy_ns": list(result.busy_ns),
        "starts": [{"at_ns": at_ns, "replica": replica, "token": token} for at_ns, replica, token in result.starts],
        "iterations": sum(result.iterations), "preemptions": result.preemptions, "mode": result.mode,
        "provenance": log.provenance.as_dict(),
    }


def by_class(tiers: set[str], desk: Desk) -> list[str]:
    """Most urgent first, then by weight, then by name; a tier that no plan has comes last."""
    plans = {} if desk.tenants is None else desk.tenants.tiers
    return sorted(tiers, key=lambda name: (0, plans[name].priority, -plans[name].weight, name) if name in plans else (
        1, 0, 0, name))


def refusals(log: RunLog) -> list[dict[str, Any]]:
    """`{outcome, status, reason, requests}` of all that arrived after the warm-up and did not end ok, most first.
    `status` None: it was not refused, but failed."""
    counted = arrived(log).counted
    bad = counted.where(~counted.is_ok)
    found = Counter[tuple[str, int | None, str]]()
    for outcome, text in zip(bad.text("outcome").tolist(), bad.text("error").tolist(), strict=True):
        reason = TOKENS.sub("N", text) if isinstance(text, str) else ""
        match = STATUS.fullmatch(reason)
        found[outcome, int(match[1]) if match else None, match[2] if match else reason] += 1
    return [{"outcome": outcome, "status": status, "reason": reason, "requests": number}
            for (outcome, status, reason), number in sorted(found.items(), key=lambda one: (-one[1], str(one[0])))]


def mean_refusals(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Over seeds."""
    total = Counter[tuple[Any, ...]]()
    for one in found:
        for row in one.get("refusals", ()):
            total[row["outcome"], row["status"], row["reason"]] += row["requests"]
    return [{"outcome": key[0], "status": key[1], "reason": key[2], "requests": number / len(found)}
            for key, number in sorted(total.items(), key=lambda one: (-one[1], str(one[0])))]


def group(log: RunLog, slo: Mapping[str, Slo]) -> dict[str, Any]:
    """Of one tier or tenant. `attained_frac`: of all that arrived; who was refused, shed or failed did not get it."""
    found, counted = summarise(log, slo), arrived(log).counted
    errors, good = counted.text("error"), counted.is_ok
    served = np.asarray(counted.table.column("replica").is_valid().to_numpy(), dtype=bool)
    device = np.asarray(counted.text("engine") == "device", dtype=bool)
    return {
        "requests": found["requests"], "outcomes": found["outcomes"],
        "limited": sum(str(text).startswith("429") for text in errors),  # rate limits and quotas
        "cached": int((good & ~served & ~device).sum()), "device": int((good & device).sum()),
        "repeats": sum(MARK in name for name in counted.text("request_id")),
        "retried": int((counted.ints("attempts") > 1).sum()),
        "attained_frac": found["metrics"]["slo_attainment_frac"]["value"]["simulated"],
        "metrics": found["metrics"], "money": money(log, priced=not log.table.column("price_pusd").null_count),
    }


def money(log: RunLog, *, priced: bool) -> dict[str, Any]:
    """Whole pico-USD, and the same in USD; None where nobody asked for a price, or a replica has none."""
    revenue = sum(log.ints("price_pusd", 0).tolist()) if priced else None
    cost = None if log.table.column("cost_pusd").null_count else sum(log.ints("cost_pusd").tolist())
    margin = None if revenue is None or cost is None else revenue - cost
    found = {"revenue": revenue, "cost": cost, "margin": margin}
    return {f"{name}_pusd": value for name, value in found.items()} | {
        f"{name}_usd": None if value is None else value / PUSD_PER_USD for name, value in found.items()}


def sla(found: Mapping[str, Any]) -> dict[str, Any]:
    """The report per tier of one summary, or of one over seeds: what was promised, what came of it."""
    return {name: {
        "promised": found["slo"].get(name, found["slo"].get("*")), "requests": one["requests"],
        "attained_frac": one["attained_frac"], **one["outcomes"], "limited": one["limited"],
        **{metric: {key: one["metrics"][metric][key] for key in KEPT} for metric in ("ttft_s", "e2e_s")},
    } for name, one in found["tiers"].items()}


def warnings(case: PlaneCase, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader must know before the figures."""
    lines = []
    unpriced = sum(one["tally"]["unpriced"] for one in found)
    if unpriced:
        lines.append(f"{unpriced} requests got tokens that no price covers: they were not charged")
    unfinished = sum(one["outcomes"]["unfinished"] for one in found)
    if unfinished:
        lines.append(f"{unfinished} requests had not ended when the run did; see horizon_s, or who waits for ever")
    loose = [tier for tier in found[0]["tiers"] if found[0]["slo"].get(tier, found[0]["slo"].get("*")) is None]
    if loose:
        lines.append(f"tier {', '.join(loose)}: no SLO in [slo], so whatever ends ok attains it")
    if not case.profile.ranges.regions:
        lines.append("the profile states no measured range: every iteration time is taken on trust")
    return lines


def _of(log: RunLog, column: str, name: str) -> RunLog:
    mine: NDArray[np.bool_] = np.asarray(log.text(column) == name, dtype=bool)
    return log.where(mine)


def _s(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / 1e9
