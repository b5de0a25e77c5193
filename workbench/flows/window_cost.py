"""What the release window costs: fairness against throughput, of a fair order and of first come, first served.

A replica that holds many requests batches well, and what it holds no order can change any more: the theorem of the
virtual token counter bounds the gap between two tenants by a term that grows with the window.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.compare_plane import compare_plane
from workbench.flows.comparison import Effort
from workbench.flows.executor import OnDone, Where

WINDOWS = ("1", "2", "4", "8", "16", "32", "64", "none")
FAIR, PLAIN = "vtc", "fifo"
FIGURES = ("joint_output_tok_per_s", "goodput_rps", "busy_frac", "jain_index", "share_error_frac", "joint_frac",
           "ttft_s.p95", "slo_attainment_frac")
NEAR_FRAC = 0.95  # of the best throughput: the smallest window that gives it is the one to take


def window_cost(
    path: Path, windows: Sequence[str] = WINDOWS, *, orders: Sequence[str] = (FAIR, PLAIN), replications: int = 10,
    where: Where | None = None, on_done: OnDone | None = None,
) -> dict[str, Any]:
    """The comparison of every order at every window, as JSON; the first of both is the baseline."""
    policies = [f"scheduling={','.join(orders)}", f"window={','.join(windows)}"]
    found = compare_plane([path], policies, effort=Effort(replications), metrics=FIGURES, where=where, on_done=on_done)
    return {**found, "windows": list(windows), "orders": list(orders)}


def cells(found: Mapping[str, Any], order: str, metric: str, tier: str = "all") -> list[Mapping[str, Any]]:
    """The figure at each window, in order of the windows."""
    by_name = {row["variant"]: row for row in found["figures"] if (row["metric"], row["tier"]) == (metric, tier)}
    return [by_name[f"scheduling={order} window={window}"] for window in found["windows"]]


def tiers(found: Mapping[str, Any]) -> list[str]:
    every = dict.fromkeys(row["tier"] for row in found["figures"] if row["metric"] == "ttft_s")
    return [tier for tier in every if tier != "all"]


def chart(found: Mapping[str, Any]) -> Chart:
    """Throughput, fairness and each tier's latency over the window."""
    orders = found["orders"]
    speed = tuple(_series(found, order, "joint_output_tok_per_s", order, i) for i, order in enumerate(orders))
    fair = tuple(_series(found, order, "jain_index", order, i) for i, order in enumerate(orders))
    late = tuple(_series(found, orders[0], "ttft_s", f"{tier}, {orders[0]}", 2 + i, tier)
                 for i, tier in enumerate(tiers(found)))
    met = tuple(_series(found, orders[0], "slo_attainment_frac", f"{tier}, {orders[0]}", 2 + i, tier)
                for i, tier in enumerate(tiers(found)))
    n = found["replications"]["n"]
    return Chart(
        "window_cost", "requests that one replica may hold",
        (Panel("output tokens per second, all waiting", speed), Panel("Jain's index of service / weight", fair),
         Panel("95th percentile of time to first token (s)", late), Panel("SLO attainment", met)),
        caption="What the release window costs: a small one leaves the batch small, a large one takes the order away. "
                "TTFT is of the requests that were served; those over their deadline are in the attainment.",
        basis=f"profile of source {found['variants'][0]['profile_source']}; mean and 95 % interval of {n} replications",
        alt="Four panels over the window: tokens per second, fairness, time to first token and SLO attainment. "
            + sentence(found),
        categories=tuple(found["windows"]),
    )


def _series(found: Mapping[str, Any], order: str, metric: str, name: str, colour: int, tier: str = "all") -> Series:
    rows = cells(found, order, metric, tier)
    ends = {key: tuple(row[key] for row in rows) for key in ("mean", "low", "high")}
    return Series(name, tuple(found["windows"]), ends["mean"], "simulated", colour=colour, low=ends["low"],
                  high=ends["high"])


def sentence(found: Mapping[str, Any]) -> str:
    """The answer in words: the smallest window near the best throughput, and what a larger one loses."""
    order = found["orders"][0]
    speed, fair = cells(found, order, "joint_output_tok_per_s"), cells(found, order, "jain_index")
    known = [i for i, row in enumerate(speed) if row["mean"] is not None and fair[i]["mean"] is not None]
    if not known:
        return "The tenants never waited at the same time: there is no figure."
    best = max(speed[i]["mean"] for i in known)
    knee = next(i for i in known if speed[i]["mean"] >= NEAR_FRAC * best)

    def at(i: int) -> str:
        return f"{speed[i]['mean'] / best:.0%} of the best throughput at a Jain index of {fair[i]['mean']:.3f}"

    names = found["windows"]
    return (f"With {order}, a window of {names[knee]} gives {at(knee)}, a window of {names[known[0]]} {at(known[0])}, "
            f"{names[known[-1]]} {at(known[-1])}.")


def tables(found: Mapping[str, Any]) -> tuple[Table, Table]:
    """Throughput and fairness of every order; latency and attainment of the first one, tier by tier."""
    whole = (("tokens/s, all waiting", "joint_output_tok_per_s"), ("goodput (1/s)", "goodput_rps"),
             ("Jain's index", "jain_index"), ("error of shares", "share_error_frac"),
             ("busy", "busy_frac"), ("time all waiting", "joint_frac"))
    caption = f"Simulated; mean ± half of the 95 % interval of {found['replications']['n']} replications."
    both = [(order, window, *(_ends(cells(found, order, name)[i]) for _, name in whole))
            for order in found["orders"] for i, window in enumerate(found["windows"])]
    names, order = tiers(found), found["orders"][0]
    parts = [(f"{what} {tier}", name, tier) for what, name in (("TTFT p95 (s)", "ttft_s"),
                                                               ("SLO met", "slo_attainment_frac")) for tier in names]
    each = [(window, *(_ends(cells(found, order, name, tier)[i]) for _, name, tier in parts))
            for i, window in enumerate(found["windows"])]
    return (Table(("order", "window", *(label for label, _ in whole)), tuple(both), caption),
            Table((f"{order}, window", *(label for label, *_ in parts)), tuple(each), caption))


def _ends(row: Mapping[str, Any]) -> str:
    return "n/a" if row["mean"] is None else f"{number(row['mean'])} ± {number(row['high'] - row['mean'])}"
