"""Chapter 12: in which order should waiting requests be released, and who pays for it?"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.chapters import comparing, playing
from workbench.chapters.about import chosen, within
from workbench.errors import UsageError
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.flows.compare_plane import compare_plane
from workbench.flows.comparison import Effort
from workbench.flows.executor import Where
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

NAME = "multi_tenant"
ORDERS = ("fifo", "priority", "wfq", "edf", "vtc")
QUICK = (("fifo", "priority", "vtc"), 3)
TIERS = {"enterprise": "enterprise", "pro": "pro", "free": "free"}
TENANTS = {"acme": 8, "shop": 4, "lab": 4, "hobby": 1}  # weights, as in the scenario
Found = dict[str, Any]


def experiment(orders: str, replications: int, window: int, replicas: int, quick: bool) -> Found:
    """Every order under the same arrivals, seed by seed; the first is the baseline. Raises UsageError."""
    names = chosen("orders", orders, ORDERS)
    within("replications", replications, 2, 100)
    within("window", window, 1, 256)
    text = scenario(replicas)
    if quick:
        names, replications = [name for name in names if name in QUICK[0]], QUICK[1]
    if len(names) < 2:
        raise UsageError(f"orders: {orders!r}: a comparison needs two or more" + (", for quick of " +
                         ", ".join(QUICK[0]) if quick else ""))
    policies = [f"scheduling={','.join(names)}", *([f"window={window}"] if window != 32 else [])]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}.toml"
        path.write_text(text, encoding="utf-8")
        return compare_plane([path], policies, effort=Effort(replications), where=Where(workers=1))


def scenario(replicas: int) -> str:
    """The shipped one on so many replicas. Raises UsageError."""
    within("replicas", replicas, 1, 16)
    return playing.changed(playing.shipped(NAME), ("replicas = 2", f"replicas = {replicas}"))


def latency_chart(found: Found) -> Chart:
    return Chart(
        "latency", "order of release",
        (comparing.panel(found, "ttft_s", TIERS, "95th percentile of time to first token (s)"),
         comparing.panel(found, "slo_attainment_frac", TIERS, "SLO attainment (share of requests)")),
        "What each tier waits for its first token, and how many of its requests meet the tier's promise.",
        comparing.basis(found),
        "Two panels over the orders of release: the 95th percentile of time to first token and the SLO attainment, "
        "one mark for each of three tiers.", _names(found),
    )


def share_chart(found: Found) -> Chart:
    return Chart(
        "shares", "order of release",
        (comparing.panel(found, "service_share_frac", {f"tenant:{name}": name for name in TENANTS},
                         "share of service while all wait"),
         comparing.panel(found, "jain_index", {"all": "Jain's index"}, "Jain's index of service / weight",
                         first_colour=6, level=1.0, level_label="each gets what its weight says")),
        "Who was served while everybody had something waiting, and how near that is to the weights "
        f"{' : '.join(map(str, TENANTS.values()))}.",
        comparing.basis(found),
        "Two panels over the orders of release: each tenant's share of service, and Jain's index.", _names(found),
    )


def difference_table(found: Found) -> Table:
    return comparing.differences(found, ("ttft_s", "slo_attainment_frac", "jain_index"), ("all", *TIERS))


def numbers(found: Found) -> Results:
    asked = [("ttft_s", "enterprise", "s"), ("slo_attainment_frac", "enterprise", ""), ("jain_index", "all", "")]
    return Results(tuple(
        Result(f"{metric}_{tier}_{comparing.short(found, row['variant'])}", row["mean"], unit, "simulated", row["n"],
               *comparing.ends(row))
        for metric, tier, unit in asked for row in comparing.rows(found, metric, tier)
    ))


def answer(found: Found) -> Prose:
    """The order that keeps the first tier's promise best, and what it costs in fairness, with intervals."""
    kept = {row["variant"]: row for row in comparing.rows(found, "slo_attainment_frac", "enterprise")}
    fair = {row["variant"]: row for row in comparing.rows(found, "jain_index", "all")}
    best, fairest = (max(rows, key=lambda name: rows[name]["mean"]) for rows in (kept, fair))
    return Prose(
        f"**{comparing.short(found, best)}** keeps Enterprise's promise for {_interval(kept[best])} of its requests, "
        f"at a Jain's index of {_interval(fair[best])}; the fairest is **{comparing.short(found, fairest)}** with "
        f"{_interval(fair[fairest])}, which keeps that promise for {_interval(kept[fairest])}. No order adds capacity: "
        "each lets somebody else wait."
    )


def _names(found: Found) -> tuple[str, ...]:
    return tuple(comparing.short(found, item["name"]) for item in found["variants"])


def _interval(row: Any) -> str:
    low, high = comparing.ends(row)
    return f"{row['mean']:.2f} ({low:.2f} to {high:.2f})"
