"""Chapter 18: incidents replayed, each with and without its remedy, and the runbook entry that follows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sims.plane.run import PlaneResult
from workbench.chapters import ch18_burn, ch18_burst, ch18_degraded, ch18_regions, playing
from workbench.chapters.about import chosen, within
from workbench.chapters.ch18_burn import Burn, Burns
from workbench.chapters.ch18_burst import Priced
from workbench.chapters.ch18_degraded import Degraded
from workbench.chapters.ch18_regions import World
from workbench.chapters.playing import Figure, Played
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Incident:
    """`texts`: the scenario without and with the remedy. `harm`: what is worse without it."""

    name: str
    title: str
    texts: Callable[[], Texts]
    harm: Figure
    what: str
    unit: str
    symptom: str
    act: str


def _spike() -> Texts:
    text = playing.shipped("flash_crowd")
    return {"without": playing.without(text, "control.cache", "control.queue"), "with": text}


def _gpu() -> Texts:
    text = playing.shipped("gpu_failure")
    return {"without": playing.without(text, "control.breaker"), "with": text}


def _slow() -> Texts:
    text = playing.shipped("slow_replica")
    return {"without": playing.changed(text, ('"least_outstanding"', '"round_robin"')), "with": text}


def _spot() -> Texts:
    text = playing.shipped("spot_preemption")
    mute = playing.changed(text, ("at_s = 15.0", "at_s = 35.0"), ("at_s = 25.0", "at_s = 45.0"))
    return {"without": mute.replace("notice_s = 20.0", "notice_s = 0.0"), "with": text}


def _onboarding() -> Texts:
    text = playing.shipped("cold_start_storm")
    return {"without": text, "with": playing.changed(text, ("least = 2", "least = 5"))}


def _overrun() -> Texts:
    text = playing.shipped("cost_overrun")
    budget = next(line for line in text.splitlines() if 'name = "budget"' in line)
    return {"without": playing.changed(text, (budget, "")), "with": text}


def _partition() -> Texts:
    text = playing.shipped("network_partition")
    return {"without": playing.changed(text, ("dead_after_ns = 4_000_000_000", "dead_after_ns = 60_000_000_000")),
            "with": text}


def _bill_usd(run: PlaneResult) -> float:
    rows = playing.mine(run.log, "agent")
    return float(run.log.ints("price_pusd", 0)[rows].sum()) * 1e-12


INCIDENTS = {item.name: item for item in (
    Incident("spike", "traffic spike", _spike, playing.ttft_s(0.95, "usual"), "usual customers' TTFT p95", "s",
             "queue depth and TTFT rise together; many requests ask the same",
             "bound the line, answer the same question once (single flight and cache); then add replicas"),
    Incident("gpu", "GPU failure", _gpu, playing.share(("error",)), "share of requests that failed", "",
             "one replica has few requests in flight and many errors",
             "let a breaker take it out; look at the errors of one replica, not at the mean of all"),
    Incident("slow", "a replica grows slow", _slow, playing.ttft_s(0.95), "TTFT p95", "s",
             "nothing fails and the median stays; one replica's TTFT and TPOT leave the others'",
             "route by what is outstanding; look at each replica by itself, drain the slow one"),
    Incident("partition", "network partition", _partition, playing.ttft_s(1.0), "longest TTFT", "s",
             "no heartbeat from a node; its requests are neither answered nor failed",
             "declare it dead after seconds, give its leases to others; ignore what it says later"),
    Incident("spot", "spot preemption", _spot, playing.share(("error",)), "share of requests that failed", "",
             "a notice from the provider, or a machine that is gone",
             "drain on notice and start a spare one at once"),
    Incident("onboarding", "a large customer arrives", _onboarding, playing.share(("shed",)), "share refused", "",
             "autoscaler at its bound within seconds, and refusals until the starts are over",
             "keep warm replicas for the time of a start, or make starts fast"),
    Incident("overrun", "cost overrun", _overrun, _bill_usd, "bill of the looping tenant", "USD",
             "spend per hour above the month's share; no limit is hit",
             "a budget as a limit of the period; a ticket when the rate would spend it"),
)}


def experiment(incidents: str, seeds: int, quick: bool) -> dict[str, Played]:
    """Each incident with and without its remedy; `quick`: two of them, on two seeds. Raises UsageError."""
    names = chosen("incidents", incidents, tuple(INCIDENTS))
    within("seeds", seeds, 2, 20)
    names, seeds = (names[:2], 2) if quick else (names, seeds)
    return {name: playing.play(INCIDENTS[name].texts(), range(1, seeds + 1)) for name in names}


def titles(found: Mapping[str, Played]) -> dict[str, str]:
    return {name: INCIDENTS[name].title for name in found}


def harm_table(found: Mapping[str, Played]) -> Table:
    rows = []
    for name, played in found.items():
        item = INCIDENTS[name]
        harm = played.over_seeds(item.harm)
        rows.append((item.title, item.what, *(_with_unit(item, harm[kind]) for kind in ("without", "with"))))
    n = len(next(iter(found.values())).seeds)
    return Table(("incident", "measure", "without the remedy", "with it"), tuple(rows),
                 f"Simulated, n = {n} seeds; in brackets 95 % intervals of the mean.")


def harm_chart(found: Mapping[str, Played]) -> Chart:
    """What is left of the harm with the remedy, as a share of the harm without."""
    left = {name: _left(played, INCIDENTS[name].harm) for name, played in found.items()}
    names = tuple(INCIDENTS[name].title for name in left)
    n = len(next(iter(found.values())).seeds)
    return Chart(
        "left", "incident", (Panel("harm left with the remedy (share of that without)", (
            Series("with the remedy", names, tuple(left.values()), "simulated", "bars", 1),), level=1.0,
            level_label="no better than without"),),
        "Each incident's own measure of harm, as in the table, with its remedy against without.",
        f"n = {n} seeds of each, means; shipped profile of an H100",
        "Bars for each incident: the share of the harm that is left when the remedy is in place.", names)


def burn_chart(found: Mapping[str, Played]) -> Chart:
    """Errors and refusals over time in the incident with the most of them, with and without."""
    name = max(found, key=lambda key: found[key].over_seeds(_bad)["without"][0])
    played = found[name]
    series = tuple(
        playing.time_series(f"{kind} the remedy", _bad_over_time(played.runs[kind][0]), i)
        for i, kind in enumerate(("without", "with")))
    return Chart("burn", "time (s)", (Panel("requests refused or failed per second", series),),
                 f"{INCIDENTS[name].title.capitalize()}: what would burn the error budget, second by second.",
                 f"n = 1 run of each, seed {played.seeds[0]}; profile {played.profile}",
                 "Steps over time: refused and failed requests per second with and without the remedy.")


def runbook(found: Mapping[str, Played], burned: Burns) -> Table:
    rows = tuple((INCIDENTS[name].title, INCIDENTS[name].symptom, INCIDENTS[name].act, _shown(name, played),
                  _pages(burned[name]["without"]), f"-p incidents={name}")
                 for name, played in found.items())
    n = len(next(iter(found.values())).seeds)
    return Table(("incident", "what one sees", "what to do", "what it did, simulated", "the page comes",
                  "see it again"), rows,
                 f"The runbook; each entry points at the simulation that it follows from, n = {n} seeds: "
                 "workbench report run ch18, with the option in the last column.")


def _shown(name: str, played: Played) -> str:
    item = INCIDENTS[name]
    harm = played.over_seeds(item.harm)
    return f"{item.what} from {_with_unit(item, harm['without'])} to {_with_unit(item, harm['with'])}"


def _with_unit(item: Incident, harm: tuple[float, float | None, float | None]) -> str:
    return playing.said(*harm) + (f" {item.unit}" if item.unit else "")


def _pages(each: Sequence[Burn]) -> str:
    found = ch18_burn.interval([ch18_burn.first_page_s(one) for one in each])
    return "never, in some runs" if found is None else f"after {found.mean:,.0f} s of it"


def numbers(found: Mapping[str, Played], worse: Degraded, burned: Burns, world: World, priced: Priced,
            burst: Played) -> Results:
    return Results(tuple(
        Result(f"{name}_{kind}_remedy", mean, INCIDENTS[name].unit, "simulated", len(played.seeds), low, high)
        for name, played in found.items()
        for kind, (mean, low, high) in played.over_seeds(INCIDENTS[name].harm).items())
        + tuple(ch18_degraded.results(worse)) + tuple(ch18_burn.results(burned)) + tuple(ch18_regions.results(world))
        + tuple(ch18_burst.results(priced, burst)))


def answer(found: Mapping[str, Played], burned: Burns, world: World, priced: Priced, burst: Played) -> Prose:
    left = {name: _left(played, INCIDENTS[name].harm) for name, played in found.items()}
    known = {name: value for name, value in left.items() if value is not None}
    if not known:
        return Prose("None of these incidents did harm under these seeds; take more of them.")
    name = max(known, key=known.__getitem__)
    alone, rented = (burst.over_seeds(ch18_burst.refused)[kind] for kind in burst.names[:2])
    each, whole = world.ways["each for itself"], world.ways["one place"]
    saved = ch18_burst.saved_frac(priced)
    return Prose(
        f"The remedy helps least against **{INCIDENTS[name].title}** ({_shown(name, found[name])}; the page for its "
        f"errors comes {_pages(burned[name]['without'])}); replicas rented for a burst bring refusals from "
        f"{playing.said(*alone)} to {playing.said(*rented)} when they start in {burst.names[1]}, and owning the base "
        f"alone costs {saved:.0%} less than owning the peak; {len(world.names)} regions that each carry their own peak "
        f"take {sum(each.replicas)} replicas where one place takes {sum(whole.replicas)}, and inside the promise when "
        f"one is lost are {ch18_regions.held(each)}; n = {len(burst.seeds)} seeds, in brackets 95 % intervals."
    )


def _left(played: Played, harm: Figure) -> float | None:
    mean = {kind: value[0] for kind, value in played.over_seeds(harm).items()}
    return mean["with"] / mean["without"] if mean["without"] else None


_bad = playing.share(("error", "timeout", "rejected", "shed"))


def _bad_over_time(run: PlaneResult) -> tuple[playing.Floats, playing.Floats]:
    x, refused = playing.over_time(run, 2.0, "refused")
    return x, refused + playing.over_time(run, 2.0, "failed")[1]
