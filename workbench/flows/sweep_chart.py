"""A sweep as a chart (load against TTFT, TPOT and goodput) and as a table."""

from collections.abc import Mapping
from typing import Any

from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number

LATENCIES = (("ttft_s", "time to first token (s)"), ("tpot_s", "time per output token (s)"))


def chart(found: Mapping[str, Any]) -> Chart:
    """Three panels over the load; intervals over the replications; the SLO as a level where one holds for all."""
    slo = found["slo"].get("*", {}) if len(found["slo"]) == 1 else {}
    panels = [
        Panel(axis, (_series(found, f"{name}.mean", "mean", 0), _series(found, f"{name}.p95", "95th percentile", 1)),
              level=slo.get(name), level_label="SLO" if slo.get(name) else "", log_y=name == "ttft_s")
        for name, axis in LATENCIES
    ]
    x = tuple(point["load_frac"] for point in found["points"])
    offered = Series("arrivals", x, tuple(point["rate_rps"] for point in found["points"]), "derived", colour=6)
    done = _series(found, "request_rate_rps.value", "completed", 4)
    good = (_series(found, "goodput_rps.value", "inside the SLO", 2),) if found["slo"] else ()
    panels.append(Panel("requests per second", (offered, done, *good)))
    n, source = len(found["seeds"]), found["profile_source"]
    return Chart(
        "sweep", "arrival rate / saturation rate", tuple(panels),
        caption=f"{found['title'] or found['file']}: latency and goodput against load.",
        basis=f"profile of source {source}; mean and 95 % interval of {n} replications; saturation "
              f"{found['saturation_rps']:.3g} requests/s",
        alt="Three panels over the load: time to first token, time per output token, requests per second. "
            + " ".join(sentences(found)),
    )


def _series(found: Mapping[str, Any], name: str, label: str, colour: int) -> Series:
    points = [point["figures"][name] for point in found["points"]]
    ends = {key: tuple(None if item is None else item[key] for item in points) for key in ("mean", "low", "high")}
    x = tuple(point["load_frac"] for point in found["points"])
    return Series(label, x, ends["mean"], "simulated", colour=colour, low=ends["low"], high=ends["high"])


def table(found: Mapping[str, Any]) -> Table:
    """One row a load."""
    columns = ("load", "requests/s", "TTFT mean (s)", "TTFT p95 (s)", "TPOT mean (ms)", "TPOT p95 (ms)",
               "goodput (1/s)", "inside the SLO", "")
    rows = []
    for point in found["points"]:
        figures = point["figures"]
        seconds = [_ends(figures[name], 1.0) for name in ("ttft_s.mean", "ttft_s.p95")]
        millis = [_ends(figures[name], 1e3) for name in ("tpot_s.mean", "tpot_s.p95")]
        good = [_ends(figures[f"{name}.value"], scale) if found["slo"] else "n/a"
                for name, scale in (("goodput_rps", 1.0), ("slo_attainment_frac", 1.0))]
        rows.append((f"{point['load_frac']:.2f}", number(point["rate_rps"]), *seconds, *millis, *good,
                     "unstable" if point["unstable"] else ""))
    return Table(columns, tuple(rows), f"Simulated; mean ± half of the 95 % interval of {len(found['seeds'])} "
                                       "replications. Unstable: the figures grow with the length of the run.")


def _ends(item: Mapping[str, Any] | None, scale: float) -> str:
    if item is None:
        return "n/a"
    return f"{number(item['mean'] * scale)} ± {number((item['high'] - item['low']) / 2 * scale)}"


def sentences(found: Mapping[str, Any]) -> list[str]:
    """The two knees in words, each with its interval or with why there is none."""
    lines = []
    for name, what in (("slo", "The SLO is kept up to"), ("bend", "TTFT bends at")):
        item = found["knee"][name]
        if item["load_frac"] is None:
            lines.append(f"{what}: no figure, {item['why_not']}.")
            continue
        load, rate = item["load_frac"], item["rate_rps"]
        lines.append(f"{what} {load['mean']:.0%} of saturation (95 % interval {load['low']:.0%} to {load['high']:.0%}; "
                     f"{rate['mean']:.3g} requests/s).")
    return lines
