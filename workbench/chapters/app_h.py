"""Appendix H: what fits on a device at the edge, how a new version reaches all of them, and what works offline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.chapters import devices, playing
from workbench.chapters.about import chosen, within
from workbench.control.hybrid.router import Ask, HybridRouter, ServerState
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.files import read_json
from workbench.hardware import accelerators, models
from workbench.hardware.fit import Ask as Room
from workbench.hardware.fit import ceiling_tok_per_s, fit
from workbench.paths import datasets
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval

Floats = NDArray[np.float64]
CARDS = ("RTX3060", "M4-Max", "Jetson-AGX-Orin-64GB", "CPU-8core-DDR5")
MODELS = ("Llama-3.2-1B", "Llama-3.1-8B", "Qwen3-30B-A3B", "Qwen3-32B", "Llama-3.1-70B")
QUANTS = ("F16", "Q8_0", "Q4_K_M", "Q2_K")
CONTEXT_TOK = 4096
HOUR_S = 3600.0
HOURS = tuple(range(0, 169, 6))  # a week
OFFLINE = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
SERVER = ServerState(150_000_000, 1_500_000_000)  # what a server would take: as of one request on a large GPU
GB = 1e9


def fit_table(quant: str) -> Table:
    """One request of 4,096 tokens: free memory and speed, or what is missing. Raises UsageError."""
    quant = chosen("quant", quant, QUANTS)[0]
    ask, rows = Room(quant=quant, context_tok=CONTEXT_TOK, engine="llama.cpp"), []
    for name in MODELS:
        model = models.find(name)
        cells = []
        for card in map(accelerators.find, CARDS):
            found = fit(card, model, ask)
            cells.append(f"{ceiling_tok_per_s(card, model, ask):.0f} tokens/s" if found.fits
                         else f"{found.short_bytes / GB:.1f} GB short")
        rows.append((name, number(model.weight_bytes(quant) / GB), *cells))
    return Table(("model", "weights (GB)", *CARDS), tuple(rows),
                 f"Roofline: one request of {CONTEXT_TOK:,} tokens in {quant}, 16-bit KV; speeds are at most. Sources: "
                 "datasets/hardware and datasets/models.")


def ceiling_chart() -> Chart:
    """Of every model that fits each card in some format: its speed by the bytes of its weights."""
    series = []
    for i, name in enumerate(CARDS):
        card, marks = accelerators.find(name), []
        for model in map(models.find, MODELS):
            for quant in QUANTS:
                ask = Room(quant=quant, context_tok=CONTEXT_TOK, engine="llama.cpp")
                if fit(card, model, ask).fits:
                    marks.append((model.weight_bytes(quant) / GB, ceiling_tok_per_s(card, model, ask)))
        marks.sort()
        series.append(Series(name, tuple(x for x, _ in marks), tuple(y for _, y in marks), "roofline", "points", i))
    return Chart(
        "ceilings", "weights (GB)", (Panel("tokens per second, at most", tuple(series), log_y=True),),
        "Bandwidth divides the bytes that a token reads. A mixture of experts lies above the line of the dense: it "
        "reads a tenth of its weights.",
        f"n = {sum(len(one.x) for one in series)} models and formats that fit, {CONTEXT_TOK:,} tokens of context; "
        "sources: datasets/hardware, datasets/models",
        "Marks of the highest speed over the size of the weights on two logarithmic axes, for four devices: twice the "
        "bytes, half the speed.", log_x=True)


def bits_chart() -> Chart:
    """What the shipped tiny model still knows at few bits, as measured when it was made."""
    curve = sorted(read_json(datasets() / "models" / "tiny" / "curve.json"), key=lambda row: row["bits_per_weight"])
    x = tuple(float(row["bits_per_weight"]) for row in curve)
    series = Series("facts completed", x, tuple(float(row["cloze"]) for row in curve), "measured", "line", 0)
    return Chart(
        "bits", "bits per weight", (Panel("share of facts completed", (series,)),),
        "Four bits cost next to nothing; two leave next to nothing. Large models bend elsewhere.",
        f"n = {curve[0]['cloze_n']} facts in each of {len(x)} formats of the shipped model; source: "
        "datasets/models/tiny/curve.json",
        "A line over bits per weight: flat where there are many, steep where there are few.")


@dataclass(frozen=True)
class Sync:
    """Hours until each device has the new version, by how it is sent; infinite where it has not within a week."""

    hours: dict[str, Floats]
    seed: int
    megabytes: dict[str, float]

    def done_frac(self, name: str, by_h: float) -> float:
        return float((self.hours[name] <= by_h).mean())


def sync(online_min: float, offline_min: float, seed: int, quick: bool) -> Sync:
    """A file of 4-bit Llama-3.2-1B to phones that come and go (both times exponential). Raises UsageError."""
    within("online_min", online_min, 0.5, 10_000)
    within("offline_min", offline_min, 0.5, 10_000)
    n, whole = (200 if quick else 2000), models.find("Llama-3.2-1B").weight_bytes("Q4_K_M") / 1e6
    sizes = {"whole file, begun again": whole, "whole file, continued": whole, "an adapter of a fiftieth": whole / 50}
    line_bytes_per_s = devices.devices()["phone"].downlink_bits_per_s / 8
    rng = np.random.default_rng(seed)
    visits = round(2 * HOURS[-1] * 60 / (online_min + offline_min)) + 20
    on_s = rng.exponential(60 * online_min, (n, visits))
    begin_s = np.cumsum(rng.exponential(60 * offline_min, (n, visits)) + on_s, axis=1) - on_s
    hours = {name: _hours(on_s, begin_s, 1e6 * size / line_bytes_per_s, again="again" in name)
             for name, size in sizes.items()}
    return Sync(hours, seed, sizes)


def _hours(on_s: Floats, begin_s: Floats, need_s: float, *, again: bool) -> Floats:
    """When `need_s` of being online are together: in one visit where it begins again each time."""
    before_s = np.zeros_like(on_s) if again else np.cumsum(on_s, axis=1) - on_s
    fits = before_s + on_s >= need_s
    first = fits.argmax(axis=1)
    rows = np.arange(len(on_s))
    done_s = begin_s[rows, first] + need_s - before_s[rows, first]
    return np.where(fits.any(axis=1), done_s, np.inf) / HOUR_S


def sync_chart(found: Sync) -> Chart:
    series = [Series(f"{name}, {found.megabytes[name]:.0f} MB", tuple(map(float, HOURS)),
                     tuple(found.done_frac(name, hour) for hour in HOURS), "simulated", "line", i)
              for i, name in enumerate(found.hours)]
    n = len(next(iter(found.hours.values())))
    return Chart(
        "sync", "time since the new version is out (hours)", (Panel("share of devices that have it", tuple(series)),),
        "Two versions are out for days. What is continued arrives; what begins again may never.",
        f"n = {n} devices, seed {found.seed}; line of the class phone in datasets/browser, assumed",
        "Three rising lines over a week: the share of devices that have the new version, slowest where a broken "
        "download begins again, fastest for a small adapter.")


@dataclass(frozen=True)
class Offline:
    """Share of requests answered, by how much of the time there is no line."""

    offline: tuple[float, ...]
    cloud: tuple[Interval, ...]
    hybrid: tuple[Interval, ...]
    n: int


def offline(seeds: int, quick: bool) -> Offline:
    """Every class of devices equally often, with what fits stored; the hybrid router decides. Raises UsageError."""
    within("seeds", seeds, 2, 200)
    n, seeds = (400, 4) if quick else (1000, seeds)
    both = [[_answered(share, n, seed) for seed in range(seeds)] for share in OFFLINE]
    cloud, hybrid = (tuple(t_interval(np.array([run[i] for run in runs])) for runs in both) for i in (0, 1))
    return Offline(OFFLINE, cloud, hybrid, n)


def _answered(offline_frac: float, n: int, seed: int) -> tuple[float, float]:
    """(by the cloud alone, with devices)."""
    rng, router = np.random.default_rng(seed), HybridRouter(devices.registry())
    stored = tuple(model.id for model in devices.registry().models())
    classes = [one._replace(stored=stored) for one in devices.devices().values()]
    asked = zip(rng.lognormal(6.0, 0.8, n), rng.lognormal(4.1, 0.8, n), rng.random(n) >= offline_frac, strict=True)
    cloud = both = 0
    for i, (prompt, output, online) in enumerate(asked):
        ask = Ask(min(round(prompt) + 1, 3000), min(round(output) + 1, 400))
        place = router.decide(0, classes[i % len(classes)], ask, SERVER if online else None)
        cloud, both = cloud + bool(online), both + (place.where != "nowhere")
    return cloud / n, both / n


def offline_chart(found: Offline) -> Chart:
    series = [Series(name, found.offline, tuple(item.mean for item in kept), "simulated", "points", i,
                     tuple(max(item.low, 0.0) for item in kept), tuple(min(item.high, 1.0) for item in kept))
              for i, (name, kept) in enumerate((("cloud only", found.cloud), ("device where there is no line",
                                                                             found.hybrid)))]
    return Chart(
        "offline", "share of the time without a line", (Panel("share of requests answered", tuple(series)),),
        "A model on the device answers without a line, but not what is longer than its context.",
        f"n = {found.cloud[0].n} seeds of {found.n} requests, whiskers are 95 % intervals of the mean; the shipped "
        "classes of devices in equal parts, models stored",
        "The share of requests answered over the share of the time without a line: falling in proportion with the "
        "cloud alone, hardly falling where devices answer.")


def numbers(synced: Sync, found: Offline) -> Results:
    n = len(next(iter(synced.hours.values())))
    return Results((
        *(Result(f"updated_in_a_day_frac_{name.replace(', ', '_').replace(' ', '_')}", synced.done_frac(name, 24.0), "",
                 "simulated", n) for name in synced.hours),
        *(Result(f"answered_frac_{kind}_offline_{share:g}", item.mean, "", "simulated", item.n, item.low, item.high)
          for kind, kept in (("cloud", found.cloud), ("device", found.hybrid))
          for share, item in zip(found.offline, kept, strict=True)),
    ))


def answer(synced: Sync, found: Offline) -> Prose:
    i = found.offline.index(0.3)
    cloud, both = found.cloud[i], found.hybrid[i]
    again, kept = (synced.done_frac(name, 24.0) for name in list(synced.hours)[:2])
    eight = Room(quant="Q4_K_M", context_tok=CONTEXT_TOK, engine="llama.cpp")
    model, cards = models.find("Llama-3.1-8B"), [accelerators.find(card) for card in CARDS]
    speeds = [ceiling_tok_per_s(card, model, eight) for card in cards if fit(card, model, eight).fits]
    return Prose(
        f"An 8B in four bits fits {len(speeds)} of {len(CARDS)} devices and writes at most {min(speeds):.0f} to "
        f"{max(speeds):.0f} tokens/s there. Without a line for {found.offline[i]:.0%} of the time devices answer "
        f"{playing.said(both.mean, both.low, both.high)} of the requests, the cloud alone "
        f"{playing.said(cloud.mean, cloud.low, cloud.high)}; after a day {kept:.0%} of the phones have a new version "
        f"if downloads continue, {again:.0%} if they begin again."
    )
