"""Results of `compare_plane` as a chapter shows them: each variant's mean with its interval, differences in words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures.chart import Panel, Series
from workbench.figures.table import Table, number

Found = Mapping[str, Any]


def rows(found: Found, metric: str, tier: str) -> list[Mapping[str, Any]]:
    """A row a variant, in order: mean, low, high, n."""
    return [row for row in found["figures"] if (row["metric"], row["tier"]) == (metric, tier)]


def ends(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Its interval; what cannot be above 1 is not said to be."""
    most = 1.0 if row["metric"].endswith("_frac") or row["metric"] == "jain_index" else math.inf
    return (None, None) if row["low"] is None else (max(row["low"], 0.0), min(row["high"], most))


def short(found: Found, name: str) -> str:
    """`vtc` of `scheduling=vtc window=8` where every variant has that window."""
    names = [item["name"].split(" ") for item in found["variants"]]
    own = [part for part in name.split(" ") if not all(part in parts for parts in names)] or name.split(" ")
    return " ".join(part.partition("=")[2] or part for part in own)


def panel(found: Found, metric: str, tiers: Mapping[str, str], y_axis: str, *, first_colour: int = 0,
          level: float | None = None, level_label: str = "") -> Panel:
    """`tiers`: tier -> its name in the legend. One series a tier over the variants."""
    series = []
    for i, (tier, name) in enumerate(tiers.items()):
        mine = rows(found, metric, tier)
        series.append(Series(
            name, tuple(short(found, row["variant"]) for row in mine), tuple(row["mean"] for row in mine), "simulated",
            "points", first_colour + i, *zip(*map(ends, mine), strict=True),
        ))
    return Panel(y_axis, tuple(series), level, level_label)


def basis(found: Found) -> str:
    """For captions: how many replications, which seeds, on which profile."""
    seeds, first = found["replications"]["seeds"], found["variants"][0]
    profile = " ".join(map(str, first["profile"].values()))
    return (f"n = {found['replications']['n']} replications, seeds {seeds[0]} to {seeds[-1]}, whiskers are 95 % "
            f"intervals of the mean; profile {profile} ({first['profile_source']})")


def differences(found: Found, metrics: Sequence[str], tiers: Sequence[str]) -> Table:
    """Against the baseline, paired by seed, with intervals that hold together."""
    kept = [row for row in found["comparisons"] if row["metric"] in metrics and row["tier"] in tiers]
    cells = tuple(
        (short(found, row["variant"]), row["metric"], row["tier"],
         *map(number, (row["baseline_mean"], row["variant_mean"], row["difference"], row["simultaneous"]["low"],
                       row["simultaneous"]["high"])), row["verdict"]) for row in kept
    )
    columns = ("variant", "metric", "tier", "baseline", "variant", "difference", "from", "to", "verdict")
    return Table(columns, cells, f"Simulated. Against {short(found, found['baseline'])}, {found['replications']['n']} "
                 f"replications; {found['method']['simultaneous']}. No verdict where the interval holds zero.")


def difference(found: Found, variant: str, metric: str, tier: str) -> Mapping[str, Any]:
    """The one row of a variant (its short name) against the baseline."""
    return next(row for row in found["comparisons"]
                if (short(found, row["variant"]), row["metric"], row["tier"]) == (variant, metric, tier))
