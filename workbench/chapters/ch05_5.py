"""Chapter 5.5: what runs in a browser, which requests go there, and what that saves when GPUs are bought whole."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from sims.plane.run import PlaneResult
from sims.scenario import rules_for
from workbench.chapters import devices, playing
from workbench.chapters.about import within
from workbench.chapters.playing import Played
from workbench.config import validate
from workbench.control.hybrid.browser_models import BrowserModel, Device
from workbench.control.hybrid.router import Ask, HybridRouter, ServerState
from workbench.economics.search import smallest
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, percent
from workbench.flows.trial import Bench
from workbench.metrics import Slo
from workbench.paths import datasets
from workbench.profile import profile as profiles
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

PROFILE = "llama-3.1-8b-h100-tp1-bf16"
SLO = Slo(ttft_s=1.0, tpot_s=0.05)
TARGET_FRAC = 0.95
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LONGER = 4.0  # times as long are the requests that stay, in the second line
MOST_GPUS = 64
ASK = (400, 90)  # tokens of a prompt and its answer
BATTERY_PPM = tuple(range(0, 1_000_001, 50_000))


def fit_table() -> Table:
    """Which shipped model runs on which class of devices: speed and first visit, else why not."""
    known = devices.devices()
    rows = tuple((model.id, *(_cell(model, device) for device in known.values()))
                 for model in devices.registry().models())
    return Table(("model", *known), rows, "Roofline: at most so many tokens/s (bandwidth over bytes of weights), after "
                 "a first visit's download over the line of the class. Classes, models, sources: datasets/browser.")


def _cell(model: BrowserModel, device: Device) -> str:
    why = model.why_not(device)
    if why:
        return ("" if why.startswith("no ") else "no: ") + re.sub(
            r"(\d{7,})( bytes)?", lambda found: f"{int(found[1]) / 1e9:.2g} GB", why)
    return f"{devices.tok_per_s(model, device):.0f} tokens/s after {model.download_ns(device) / 1e9:.0f} s"


def speed_chart() -> Chart:
    """Every pair that runs: how long the first visit takes against how fast it writes."""
    series = []
    for i, (name, device) in enumerate(devices.devices().items()):
        able, _ = devices.registry().fitting(device)
        pairs = sorted((model.download_ns(device) / 1e9, devices.tok_per_s(model, device)) for model in able)
        series.append(Series(name, tuple(x for x, _ in pairs), tuple(y for _, y in pairs), "roofline", "points", i))
    return Chart(
        "first-visit", "download of a first visit (s)",
        (Panel("tokens per second, at most", tuple(one for one in series if one.x), log_y=True),),
        "Each mark is a model on a class of devices: fast ones are there, after minutes of download.",
        f"n = {sum(len(one.x) for one in series)} pairs that fit; sources in datasets/browser",
        "Marks for each device and model that fits: the speed falls and the download grows with the size of the model.",
        log_x=True)


def routed(seeds: int, quick: bool) -> Played:
    """The shipped scenario without browsers, with them, and with browsers that may be slower. Raises UsageError."""
    within("seeds", seeds, 1, 50)
    text = playing.shipped("hybrid")
    if quick:
        text, seeds = text.replace("duration_s = 20", "duration_s = 4"), 1
    servers = playing.without(text, "control.hybrid")
    patient = playing.changed(text, ("slower_ppm = 0 ", "slower_ppm = 1_000_000 "))
    return playing.play({"servers only": servers, "hybrid": text, "hybrid, patient": patient}, range(1, seeds + 1))


def on_device(run: PlaneResult) -> float:
    return float((run.log.text("engine") == "device").mean())


def kept_private(run: PlaneResult) -> float:
    """Of the notes that may not leave the device, the share that was answered there."""
    notes = playing.mine(run.log, "notes")
    return float(((run.log.text("engine") == "device") & run.log.is_ok)[notes].mean())


def routed_chart(found: Played) -> Chart:
    return Chart(
        "routed", "control plane",
        (found.panel("95th percentile of time to first token, web (s)", {"web": playing.ttft_s(0.95, "web")}),
         found.panel("share of requests", {"computed on devices": on_device, "notes answered": kept_private},
                     first_colour=1)),
        "Devices take load from the servers, and only with them are notes answered that may not leave a laptop. "
        "Patient: a device may take twice as long as the server would.", found.basis + "; speeds of devices: roofline",
        "Two panels over three control planes: the time to first token of web users, and the shares of requests that "
        "devices computed and of private notes that were answered.", found.names)


@dataclass(frozen=True)
class Saving:
    """Replicas needed by the share of requests that browsers take, for two kinds of what is left."""

    rate_rps: float
    shares: tuple[float, ...]
    replicas: tuple[int, ...]
    longer: tuple[int, ...]
    seeds: int
    requests: int

    def saved_frac(self, share: float, *, longer: bool = False) -> float:
        """Of the GPUs that are needed without browsers."""
        found = (self.longer if longer else self.replicas)[self.shares.index(share)]
        return 1 - found / self.replicas[0]


def saving(rate_rps: float, seeds: int, quick: bool) -> Saving:
    """Whole GPUs that keep the promise for what is left. Raises UsageError."""
    within("rate_rps", rate_rps, 1.0, 400.0)
    shares, requests, seeds = (SHARES[::4], 200, 2) if quick else (SHARES, 1500, max(seeds, 2))
    same, longer = (tuple(_replicas(rate_rps * (1 - share), _times(share, most), requests, seeds) for share in shares)
                    for most in (1.0, LONGER))
    return Saving(rate_rps, shares, same, longer, seeds, requests)


def _times(share: float, most: float) -> float:
    """Browsers take the short ones first: what is left is the longer, the more they take."""
    return 1.0 + (most - 1.0) * share / SHARES[-2]


def _replicas(rate_rps: float, times: float, requests: int, seeds: int) -> int:
    """The fewest that keep the promise."""
    bench = _bench(times, requests, seeds)

    def meets(n: int) -> bool:
        trial = bench.trial(n, rate_rps)
        return trial.attainment.mean >= TARGET_FRAC and not trial.saturated

    return smallest(meets, MOST_GPUS) or MOST_GPUS


@lru_cache(maxsize=len(SHARES))  # shares differ in the rate, which a trial stretches, and what completes is known once
def _bench(times: float, requests: int, seeds: int) -> Bench:
    """One replica before requests whose answers are `times` as long."""
    profile = profiles.read(datasets() / "profiles" / "silicon" / f"{PROFILE}.json")
    spec = validate(WorkloadSpec, {
        "requests": requests, "warmup_requests": requests // 10,
        "arrivals": {"kind": "poisson", "rate_per_s": 100.0},
        "prompt_tok": {"kind": "lognormal", "p50_tok": 800, "p95_tok": 3000, "max_tok": 6000},
        "output_tok": {"kind": "lognormal", "p50_tok": 60 * times, "p95_tok": 240 * times, "max_tok": 1600}}, "ch05_5")
    schedules = tuple(draw(spec, seed) for seed in range(1, seeds + 1))
    return Bench(profile, rules_for(profile, {}), schedules, SLO, TARGET_FRAC)


def saving_chart(found: Saving) -> Chart:
    naive = tuple(found.replicas[0] * (1 - share) for share in found.shares)
    return Chart(
        "gpus", "share of requests computed in browsers",
        (Panel("GPUs needed (number)", (
            Series("divided", found.shares, naive, "derived", "line", 6),
            Series("simulated", found.shares, tuple(map(float, found.replicas)), "simulated", "points", 1),
            Series(f"what stays is up to {LONGER:g} times longer", found.shares, tuple(map(float, found.longer)),
                   "simulated", "points", 2))),),
        "GPUs come whole, and a share of the requests is not that share of the work.",
        f"n = {found.seeds} seeds of {found.requests} requests, the fewest GPUs that keep up with {TARGET_FRAC:.0%} "
        f"of them in time; {found.rate_rps:g} requests/s; profile {PROFILE}",
        "GPUs needed over the share of requests that browsers take: a straight line by division, steps by simulation, "
        "and fewer saved when the requests that stay are longer.")


def battery_chart() -> Chart:
    """Where the shipped laptop's request is computed, by its battery, for a calm and a busy server."""
    device = devices.devices()["laptop-gpu"]
    model = next(iter(devices.registry().fitting(device)[0]))
    router, level = HybridRouter(devices.registry()), BATTERY_PPM
    here = device._replace(stored=tuple(one.id for one in devices.registry().models()))
    first_ns, last_ns = model.run_ns(here, *ASK)
    server = ServerState(first_ns, 2 * last_ns)  # the laptop is as fast: the battery decides
    series = []
    for i, charging in enumerate((False, True)):
        where = [router.decide(0, here._replace(battery_ppm=ppm, charging=charging), Ask(*ASK), server).where
                 for ppm in level]
        series.append(Series("charging" if charging else "on battery", tuple(ppm / 1e6 for ppm in level),
                             tuple(1.0 if one == "browser" else 0.0 for one in where), "derived", "steps", i))
    return Chart(
        "battery", "battery level (share of full)", (Panel("computed on the device (share)", tuple(series)),),
        "A battery that runs low sends the work to a server, even though the laptop would be as fast.",
        f"n = {len(level)} levels of each; source: the router itself with its default limit",
        "Two steps over the battery level: below a fifth the work leaves the laptop unless it is charging.")


def numbers(found: Played, saved: Saving) -> Results:
    return Results((
        *found.results("ttft_p95_web_s", "s", playing.ttft_s(0.95, "web")),
        *found.results("on_device_frac", "", on_device),
        *found.results("notes_answered_frac", "", kept_private),
        *(Result(f"gpus_at_{share:.1f}_in_browsers", n, "GPUs", "simulated", saved.seeds)
          for share, n in zip(saved.shares, saved.replicas, strict=True)),
        *(Result(f"gpus_at_{share:.1f}_in_browsers_rest_longer", n, "GPUs", "simulated", saved.seeds)
          for share, n in zip(saved.shares, saved.longer, strict=True)),
    ))


def answer(found: Played, saved: Saving) -> Prose:
    away, wait = found.over_seeds(on_device)["hybrid"], found.over_seeds(playing.ttft_s(0.95, "web"))
    share = min(saved.shares, key=lambda one: math.fabs(one - 0.8))
    return Prose(
        f"Devices compute {playing.said(*away, 2)} of the requests, and the p95 of time to first token on the web "
        f"falls from {playing.said(*wait['servers only'])} s to {playing.said(*wait['hybrid'])} s. With {share:.0%} of "
        f"the requests in browsers {percent(saved.saved_frac(share), 0)} of {saved.replicas[0]} GPUs are saved (n = "
        f"{saved.seeds} seeds), {percent(saved.saved_frac(share, longer=True), 0)} if what stays is longer."
    )
