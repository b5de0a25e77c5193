"""Chapter 11: what does a noisy neighbour cost the quiet one, and which protection is enough?"""

from sims.plane.run import PlaneResult
from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.playing import Played
from workbench.figures.chart import Chart, Panel
from workbench.figures.table import Table
from workbench.report.prose import Prose
from workbench.report.results import Results

NAME = "noisy_neighbour"


def experiment(noisy_per_s: float, seeds: int, quick: bool) -> Played:
    """The quiet tenant alone, and beside the noisy one under four protections. Raises UsageError."""
    within("noisy_per_s", noisy_per_s, 2.0, 200.0)
    within("seeds", seeds, 1, 50)
    text = playing.changed(playing.shipped(NAME), ("rate_per_s = 40.0", f"rate_per_s = {noisy_per_s}"))
    if quick:
        text, seeds = text.replace("duration_s = 50", "duration_s = 25").replace("for_s = 20", "for_s = 8"), 2
    start, end = text.index('[[workloads]]\ntenant = "noisy"'), text.index("[fleet]")
    fair = playing.without(text, "control.limits")
    return playing.play({
        "alone": text[:start] + text[end:],
        "neither": fair.replace('"wfq"', '"fifo"'),
        "fair order": fair,
        "limit": text.replace('"wfq"', '"fifo"'),
        "both": text,
    }, range(1, seeds + 1))


def wait_chart(found: Played) -> Chart:
    return Chart(
        "waits", "what protects the quiet tenant",
        (found.panel("95th percentile of time to first token (s)", {
            "quiet": playing.ttft_s(0.95, "quiet"), "noisy": _noisy_ttft}, log_y=True),
         found.panel("share of requests answered", {
            "quiet": playing.share(("ok",), "quiet"), "noisy": _noisy_ok})),
        "The quiet tenant sends two requests a second throughout; the noisy one as many, but for one loud while.",
        found.basis, "Two panels over five kinds of protection: the waits of both tenants on a logarithmic axis, and "
        "the share of their requests that was answered.", found.names,
    )


def time_chart(found: Played) -> Chart:
    shown = ("neither", "fair order", "both")
    series = tuple(
        playing.time_series(name, playing.over_time(found.runs[name][0], 2.0, "ttft", "quiet"), i)
        for i, name in enumerate(shown))
    return Chart(
        "over_time", "sent at (s)", (Panel("quiet tenant's time to first token, 95th percentile of 2 s (s)", series,
                                           log_y=True),),
        "What the quiet tenant sees while its neighbour is loud, and how long afterwards.",
        f"n = 1 run of each, seed {found.seeds[0]}; profile {found.profile}",
        "Steps over time for three kinds of protection: without any, waits rise to many seconds and stay there long "
        "after the burst.",
    )


def table(found: Played) -> Table:
    return found.table({
        "quiet TTFT p95 (s)": playing.ttft_s(0.95, "quiet"), "quiet answered": playing.share(("ok",), "quiet"),
        "noisy TTFT p95 (s)": _noisy_ttft, "noisy answered": _noisy_ok,
        "noisy refused": lambda run: 1 - _noisy_ok(run),
    }, "What each protection gives either tenant.")


def numbers(found: Played) -> Results:
    return Results(tuple(found.results("quiet_ttft_p95_s", "s", playing.ttft_s(0.95, "quiet"))
                         + found.results("noisy_answered_frac", "", _noisy_ok)))


def answer(found: Played) -> Prose:
    quiet, served = found.over_seeds(playing.ttft_s(0.95, "quiet")), found.over_seeds(_noisy_ok)
    return Prose(
        f"Beside its neighbour and without protection the quiet tenant waits {playing.said(*quiet['neither'])} s (p95) "
        f"instead of {playing.said(*quiet['alone'])} s alone. A fair order brings that to "
        f"{playing.said(*quiet['fair order'])} s and refuses nobody; a limit brings it to "
        f"{playing.said(*quiet['limit'])} s and answers {playing.said(*served['limit'], 2)} of the noisy one's."
    )


def _noisy_ttft(run: PlaneResult) -> float:
    return playing.ttft_s(0.95, "noisy")(run) if playing.mine(run.log, "noisy").any() else float("nan")


def _noisy_ok(run: PlaneResult) -> float:
    return playing.share(("ok",), "noisy")(run) if playing.mine(run.log, "noisy").any() else float("nan")
