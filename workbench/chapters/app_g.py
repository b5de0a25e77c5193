"""Appendix G: what TPUs cost and what compiled shapes change; rooflines, since nobody measured a TPU here."""

from collections.abc import Mapping
from dataclasses import dataclass

from sims.run import simulate
from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.fleets import Carried, bench, carried, edge, silicon
from workbench.chapters.playing import Played
from workbench.economics.unit_cost import unit_cost
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.flows.gpus import SLO, TARGET_FRAC
from workbench.flows.trial import stretched
from workbench.hardware import accelerators, architecture
from workbench.hardware.prices import find, machines
from workbench.metrics import values
from workbench.profile.buckets import Bucketed, exponential, gapped, padded
from workbench.profile.profile import Profile
from workbench.profile.roofline_profile import profile as roofline
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

MODEL = "Llama-3.1-8B"
WARM, LAZY = "llama-3.1-8b-tpu-v6e-tp1-bf16", "llama-3.1-8b-tpu-v5e-tp4-bf16-lazy"
MOST_TOK = 2048  # of an iteration, as these profiles have it
MACHINES = {"TPU v6e": "gcp-tpu-v6e-1", "H100": "lambda-1x-h100-sxm", "H100, kernel times": "lambda-1x-h100-sxm"}
GAPS_TOK = (64, 128, 256)


def contenders() -> dict[str, Profile]:
    """The same model on one chip each: a TPU, an H100 by the same arithmetic, and an H100 by its kernel times."""
    return {"TPU v6e": edge(WARM), "H100": roofline(accelerators.find("H100-SXM"), architecture.find(MODEL)),
            "H100, kernel times": silicon("llama-3.1-8b-h100-tp1-bf16")}


def speeds(seeds: int, quick: bool) -> dict[str, Carried]:
    """Requests per second inside the promise. Raises UsageError."""
    within("seeds", seeds, 2, 20)
    requests, seeds = (150, 2) if quick else (900, seeds)
    return {name: carried(one, seeds, requests) for name, one in contenders().items()}


def usd_per_million(name: str, found: Carried, *, spot: bool = False) -> float | None:
    """Output tokens, at the rate that one chip carries; None without a spot price."""
    row = find(machines(), MACHINES[name], "machine")
    price = row.spot_usd_per_hour if spot else row.usd_per_hour
    if price is None or found.trial is None:
        return None
    return unit_cost(price, found.load).usd_per_million_output_tok


def price_chart(found: Mapping[str, Carried]) -> Chart:
    names = tuple(found)
    rates = tuple(one.rate_rps for one in found.values())
    prices = [Series(label, names, tuple(usd_per_million(name, one, spot=spot) for name, one in found.items()),
                     "simulated", "bars", i) for i, (label, spot) in enumerate((("on demand", False), ("spot", True)))]
    first = next(iter(found.values()))
    return Chart(
        "price", "one chip", (Panel("requests per second inside the promise", (
            Series("one chip", names, rates, "simulated", "bars", 2),)),
            Panel("cost of a million output tokens (USD)", tuple(prices))),
        f"{MODEL} in bf16 on one chip of each; {TARGET_FRAC:.0%} with a first token within {SLO.ttft_s:g} s. Compare "
        "the TPU with the H100 beside it: both are the same arithmetic.",
        f"n = {first.seeds} seeds of the highest rate found; TPU and first H100: rooflines, last: NVIDIA's kernel "
        "database; prices: datasets/prices, where a spot price is listed",
        "Bars for a TPU v6e and an H100 on two kinds of profile: the request rate inside the promise, and the cost of "
        "a million output tokens on demand and on spot machines.", names)


def price_table() -> Table:
    """Chips as they are listed: a chip is not a card."""
    rows = []
    for name in ("gcp-tpu-v6e-1", "gcp-tpu-v6e-8", "gcp-tpu-v4-8", "gcp-tpu-v5p-12288", "lambda-1x-h100-sxm",
                 "vast-1x-h100-sxm"):
        row = find(machines(), name, "machine")
        chip = accelerators.find(row.accelerator)
        each, n = row.usd_per_hour / row.accelerator_n, row.accelerator_n
        spot = None if row.spot_usd_per_hour is None else row.spot_usd_per_hour / n
        rows.append((name, f"{n:,}", number(chip.memory_gib), number(chip.memory_bytes_per_s / 1e12), number(each),
                     number(spot), percent(1 - spot / each if spot else None, 0),
                     number(each / (chip.memory_bytes_per_s / 1e12)), str(row.as_of)))
    return Table(("machine", "chips", "GiB a chip", "TB/s a chip", "USD/h a chip", "spot", "spot is off",
                  "USD per TB/s and hour", "price of"), tuple(rows),
                 "Vendor: datasheets and price lists of datasets/. Decoding is bound by bandwidth, so its price says "
                 "more than the chip's.")


@dataclass(frozen=True)
class Padding:
    """How much of each iteration is padding, and how many shapes are compiled, by the choice of shapes."""

    names: tuple[str, ...]
    padded_frac: tuple[float, ...]
    shapes: tuple[int, ...]
    n: int


def padding() -> Padding:
    """Over all sizes of an iteration up to the most, each as likely as any other."""
    choices = {"doubling": exponential(16, MOST_TOK), **{f"every {gap}": gapped(16, MOST_TOK, gap) for gap in GAPS_TOK}}
    sizes = range(1, MOST_TOK + 1)
    wasted = tuple(1 - sum(sizes) / sum(padded(one, size) for size in sizes) for one in choices.values())
    return Padding(tuple(choices), wasted, tuple(map(len, choices.values())), len(sizes))


def padding_chart(found: Padding) -> Chart:
    return Chart(
        "padding", "compiled sizes (tokens)",
        (Panel("padding (share of the tokens computed)", (
            Series("padding", found.names, found.padded_frac, "derived", "bars", 1),)),
         Panel("shapes to compile (number)", (
             Series("shapes", found.names, tuple(map(float, found.shapes)), "derived", "bars", 0),))),
        "Finer shapes compute less for nothing, and more of them have to be compiled.",
        f"n = {found.n} sizes of an iteration, each once; source: vLLM's rules on TPU (workbench/profile/buckets.py)",
        "Two panels of bars for four choices of compiled sizes: the share of padding, and the number of shapes.",
        found.names)


@dataclass(frozen=True)
class Cold:
    """Times to first token in order of arrival, where shapes were compiled before and where they are as they come."""

    before_s: tuple[float, ...]
    lazy_s: tuple[float, ...]
    seed: int


def cold(rate_rps: float, quick: bool) -> Cold:
    """The first requests of a replica that was just started. Raises UsageError."""
    within("rate_rps", rate_rps, 0.1, 50.0)
    lazy = edge(LAZY)
    model = lazy.model
    assert isinstance(model, Bucketed)
    warm = lazy.model_copy(update={"model": model.model_copy(update={"compile_ns": 0})})
    found = []
    for one in (warm, lazy):
        asked = bench(one, 1, 60 if quick else 400)
        schedule = stretched(asked.schedules[0], asked.load.rate_rps / rate_rps)
        log = simulate(schedule, one, asked.rules, keep_journal=False).log
        found.append(tuple(map(float, values(log, "ttft_s"))))
    return Cold(found[0], found[1], 1)


def cold_chart(found: Cold) -> Chart:
    series = [Series(name, tuple(float(i + 1) for i in range(len(one))), one, "simulated", "points", i)
              for i, (name, one) in enumerate((("compiled before", found.before_s), ("compiled as they come",
                                                                                      found.lazy_s)))]
    return Chart(
        "cold", "request, in order of arrival (number)", (Panel("time to first token (s)", tuple(series), log_y=True),),
        "A replica that compiles as it serves holds up the line at each new shape, long after it was started.",
        f"n = {len(found.lazy_s)} requests of one run, seed {found.seed}; profile {LAZY} (roofline; a compilation is "
        "assumed)", "Marks of the time to first token in order of arrival: with shapes compiled before they are short "
        "from the first, with shapes compiled as they come they rise again at each new shape.")


def preempted(seeds: int, quick: bool) -> Played:
    """The shipped spot scenario on TPUs: told in time or not, and slow to start or not."""
    text = playing.changed(playing.shipped("spot_preemption"), ("llama-3.1-8b-h100-tp1-bf16", WARM),
                           ("rate_per_s = 40.0", "rate_per_s = 24.0"))
    if quick:
        text, seeds = text.replace("duration_s = 60", "duration_s = 50"), 1
    mute = playing.changed(text, ("at_s = 15.0", "at_s = 35.0"), ("at_s = 25.0", "at_s = 45.0"))
    slow = playing.changed(text, ("\ncold_start_s = 12.0\n", "\ncold_start_s = 600.0\n"))
    return playing.play({"told before": text, "told, slow start": slow,
                         "not told": mute.replace("notice_s = 20.0", "notice_s = 0.0")}, range(1, min(seeds, 5) + 1))


def preempted_chart(found: Played) -> Chart:
    return Chart(
        "preempted", "machines taken away",
        (found.panel("requests lost (share)", {"lost": playing.share(("error", "rejected", "shed", "timeout"))}),
         found.panel("95th percentile of time to first token (s)", {"of those answered": playing.ttft_s()},
                     first_colour=1)),
        "Two of four spot machines go. A notice saves the requests; a start that compiles for minutes comes too late.",
        found.basis,
        "Two panels: the share of requests lost and the 95th percentile of time to first token, for machines that are "
        "taken with notice, with notice and a slow start, and without notice.", found.names)


def _key(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def numbers(found: Mapping[str, Carried], waste: Padding, played: Played) -> Results:
    return Results((
        *(Result(f"rate_{_key(name)}", one.rate_rps, "requests/s", "simulated", one.seeds)
          for name, one in found.items()),
        *(Result(f"usd_per_million_output_{_key(name)}", usd_per_million(name, one), "USD", "simulated", one.seeds)
          for name, one in found.items()),
        *(Result(f"padding_frac_{name.replace(' ', '_')}", share, "", "derived", waste.n)
          for name, share in zip(waste.names, waste.padded_frac, strict=True)),
        *played.results("lost_frac", "", playing.share(("error", "rejected", "shed", "timeout"))),
    ))


def answer(found: Mapping[str, Carried], waste: Padding) -> Prose:
    tpu, gpu = (usd_per_million(name, found[name]) for name in ("TPU v6e", "H100"))
    spot = usd_per_million("TPU v6e", found["TPU v6e"], spot=True)
    n = found["H100"].seeds
    if tpu is None or gpu is None or spot is None:
        return Prose("One of the chips does not keep the promise at any rate, so there is no price to compare.")
    held = found["TPU v6e"].trial
    kept = f"{held.attainment.low:.1%} to {min(held.attainment.high, 1.0):.1%} in time" if held else ""
    word = "less" if tpu < gpu else "more"
    return Prose(
        f"By the same arithmetic a million output tokens cost {number(tpu)} USD on a TPU v6e and {number(gpu)} USD on "
        f"an H100 ({abs(1 - tpu / gpu):.0%} {word}; n = {n} seeds, {kept}), {number(spot)} USD on spot TPUs while "
        f"they last. Doubling shapes compute {percent(waste.padded_frac[0], 0)} for nothing."
    )
