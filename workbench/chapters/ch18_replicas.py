"""Chapter 18: each replica by itself. What a median over the fleet hides is the one that left the others."""

from collections.abc import Mapping

import numpy as np

from sims.plane.run import PlaneResult
from workbench.chapters import playing
from workbench.chapters.playing import Played
from workbench.figures.chart import Chart, Panel

EVERY_S = 2.5
Q = 0.95


def tails_s(run: PlaneResult) -> dict[str, float]:
    """The 95th percentile of time to first token of every replica that answered anybody."""
    replica, wait_s, ok = run.log.text("replica"), playing.waits_s(run.log), run.log.is_ok
    return {name: float(np.quantile(wait_s[ok & (replica == name)], Q)) for name in sorted(set(replica[ok])) if name}


def apart(run: PlaneResult) -> float:
    """How many times the worst replica's tail is the middle one's; 1 where there are not three to compare."""
    tails = list(tails_s(run).values())
    return max(tails) / float(np.median(tails)) if len(tails) > 2 else 1.0


def replicas_chart(found: Mapping[str, Played], titles: Mapping[str, str]) -> Chart:
    """Of the incident in which one replica left the others furthest, without its remedy."""
    name = max(found, key=lambda key: apart(found[key].runs["without"][0]))
    played = found[name]
    run = played.runs["without"][0]
    tails = tails_s(run)
    left = max(tails, key=tails.__getitem__)
    replica = run.log.text("replica")
    lines = {
        "its worst replica, 95th percentile": playing.ttft_over_time(run, EVERY_S, replica == left, Q),
        "all others, 95th percentile": playing.ttft_over_time(run, EVERY_S, replica != left, Q),
        "all requests, median": playing.ttft_over_time(run, EVERY_S, playing.mine(run.log), 0.5),
    }
    series = tuple(playing.time_series(label, line, i) for i, (label, line) in enumerate(lines.items()))
    return Chart(
        "replicas", "time at which a request was sent (s)", (Panel("time to first token (s)", series, log_y=True),),
        f"{titles[name].capitalize()}, without the remedy: the replica that left the others furthest, in the incident "
        "in which one did most; the median of all requests is what a mean over the fleet would show.",
        f"n = 1 run, seed {played.seeds[0]}, answered requests in bins of {EVERY_S:g} s; profile {played.profile}",
        "Steps over time: the tail of the worst replica, the tail of the others, and the median of all requests.")
