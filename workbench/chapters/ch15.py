"""Chapter 15: one model over several GPUs: tensors, pipelines or copies, over NVLink and over PCIe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.fleets import Carried, carried
from workbench.chapters.playing import Played
from workbench.errors import UsageError
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.gpus import MODEL, QUANT, SLO, TARGET_FRAC, shipped
from workbench.hardware import accelerators, architecture
from workbench.hardware.memory import Split
from workbench.profile.batch import Batch
from workbench.profile.profile import Profile
from workbench.profile.roofline import PCIE, Efficiency, Roofline, assumed
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

CARDS = {"h100_sxm": "H100, NVLink", "l40s": "L40S, PCIe"}
WAYS = (1, 2, 4, 8)
CONTEXT_TOK = 1024
TOGETHER = 64  # decodes
STEPS = {"decodes": TOGETHER, "a prompt": 2048}  # tokens that one iteration computes


@dataclass(frozen=True)
class Way:
    """A model over `tp` x `pp` GPUs: of each token the time, and the tokens per second of all together."""

    tp: int
    pp: int
    token_s: float
    tok_per_s: float

    @property
    def name(self) -> str:
        return f"TP {self.tp}" if self.pp == 1 else f"TP {self.tp} x PP {self.pp}"


def profiles_of(gpu: str) -> dict[int, Profile]:
    """By tensor-parallel degree. Raises UsageError for a GPU without shipped profiles."""
    found = shipped(gpu)
    if not found:
        raise UsageError(f"gpu: {gpu!r}: no shipped profile of {MODEL} {QUANT}; known: {', '.join(CARDS)}")
    return found


def way(profile: Profile, pp: int, decodes: int) -> Way:
    """So many decodes through `pp` stages of equal length, in as many parts: each part is in another stage, and every
    token passes all of them and `pp` - 1 links. Derived from the profile of one stage's GPUs."""
    part = max(1, decodes // pp)
    busy = min(pp, decodes)  # a single request leaves all stages but one idle
    batch = Batch((), part, part * CONTEXT_TOK, CONTEXT_TOK, CONTEXT_TOK)
    token_s = profile.iteration_ns(batch) * playing.SECOND + (pp - 1) * hop_s(profile, part)
    return Way(profile.parallel.tp, pp, token_s, busy * part / token_s)


def hop_s(profile: Profile, tokens: int) -> float:
    """Hidden states from one stage to the next."""
    card, shape = accelerators.find(profile.subject.gpu), architecture.find(profile.subject.model)
    effort = assumed(card)
    return effort.collective_s + 2 * tokens * shape.hidden / (card.link_rate() * effort.link_frac)


def scaling_chart() -> Chart:
    alone, many = list[Series](), list[Series]()
    for i, (gpu, label) in enumerate(CARDS.items()):
        known = profiles_of(gpu)
        x = tuple(f"{tp}" for tp in known)
        single = tuple(1 / way(one, 1, 1).token_s for one in known.values())
        alone.append(Series(label, x, single, "imported", "line", i))
        many.append(Series(label, x, tuple(way(one, 1, TOGETHER).tok_per_s / tp for tp, one in known.items()),
                           "imported", "line", i))
    return Chart(
        "scaling", "GPUs that share each layer (tensor parallel)",
        (Panel("tokens per second of one request", tuple(alone)),
         Panel(f"tokens per second and GPU, {TOGETHER} requests", tuple(many))),
        f"{MODEL} in {QUANT}: more GPUs make one request faster, and each GPU less useful, over PCIe much less.",
        f"n = {sum(len(one.x) for one in alone)} shipped profiles at {CONTEXT_TOK} tokens of context; source: NVIDIA's "
        "kernel database",
        "Two panels over the number of GPUs: the speed of one request rises less than in proportion, and the tokens "
        "per second of each GPU fall, on L40S over PCIe faster than on H100 over NVLink.", tuple(map(str, WAYS)))


def link_chart() -> Chart:
    """The same card behind both links: what share of an iteration is spent on the link."""
    card, shape = accelerators.find("H100-SXM"), architecture.find(MODEL)
    pcie = replace(card, link="PCIe 5.0 x16", link_bytes_per_s=accelerators.find("H100-PCIe").link_bytes_per_s)
    ways = tuple(tp for tp in WAYS if tp > 1)
    panels = []
    for step, tokens in STEPS.items():
        series = []
        for i, (label, one, effort) in enumerate((("NVLink 4", card, assumed(card)),
                                                  ("PCIe 5", pcie, Efficiency().given(PCIE)))):
            shares = [_share(Roofline(one, shape, QUANT, split=Split(tp), efficiency=effort), tokens) for tp in ways]
            series.append(Series(label, tuple(f"{tp}" for tp in ways), tuple(shares), "roofline", "bars", i))
        panels.append(Panel(f"share of the time, {step} of {tokens} tokens", tuple(series)))
    return Chart(
        "links", "GPUs that share each layer", tuple(panels),
        "The time that goes into summing over the link, for the same H100 behind either: small messages wait for "
        "latency, prompts for bandwidth.",
        f"n = {2 * len(STEPS) * len(ways)} rooflines; sources: datasheets, and fractions assumed in "
        "workbench/profile/roofline.py",
        "Bars of the share of an iteration that is spent on the link for two, four and eight GPUs, over NVLink and "
        "over PCIe, for decodes and for a prompt.", tuple(f"{tp}" for tp in ways))


def _share(roofline: Roofline, tokens: int) -> float:
    on_link_s = 2 * roofline.architecture.layers * roofline.reduce_s(tokens)
    return on_link_s / roofline.rest_s(tokens, min(tokens, TOGETHER))


def pipeline_table(gpus: int) -> Table:
    """All ways to put one copy over so many GPUs. Raises UsageError."""
    if gpus not in WAYS:
        raise UsageError(f"gpus: {gpus}: must be one of {', '.join(map(str, WAYS))}")
    rows = []
    for gpu, label in CARDS.items():
        for tp, profile in profiles_of(gpu).items():
            if gpus % tp == 0:
                one, many = (way(profile, gpus // tp, decodes) for decodes in (1, TOGETHER))
                rows.append((one.name, label, number(1e3 * one.token_s), number(1e3 * many.token_s),
                             number(many.tok_per_s)))
    return Table(("split", "card", "a token, alone (ms)", f"a token, {TOGETHER} together (ms)", "all (tokens/s)"),
                 tuple(rows), f"{gpus} GPUs, one copy. Tensor parallel: imported. Pipelines: derived, stages of "
                 f"equal length, {TOGETHER} requests in as many parts as stages, hidden states over the link between.")


def copies(gpus: int, seeds: int, quick: bool) -> dict[str, list[Carried]]:
    """What one copy carries inside the promise, for each card and split. Raises UsageError."""
    within("seeds", seeds, 2, 20)
    ways = tuple(tp for tp in WAYS if tp <= gpus)
    cards, requests, seeds = (list(CARDS)[:1], 150, 2) if quick else (list(CARDS), 900, seeds)
    ways = ways[::2] if quick else ways
    return {gpu: [carried(one, seeds, requests) for tp, one in profiles_of(gpu).items() if tp in ways] for gpu in cards}


def copies_chart(found: Mapping[str, list[Carried]], gpus: int) -> Chart:
    series = []
    for i, (gpu, rows) in enumerate(found.items()):
        series.append(Series(CARDS[gpu], tuple(_split(row, gpus) for row in rows),
                             tuple(_together_rps(row, gpus) for row in rows), "simulated", "bars", i))
    first = next(iter(found.values()))
    return Chart(
        "copies", "copies x GPUs of each", (Panel("requests per second inside the promise", tuple(series)),),
        f"The same {gpus} GPUs as several copies or one large one: {TARGET_FRAC:.0%} of requests with a first token "
        f"within {SLO.ttft_s:g} s and {1e3 * (SLO.tpot_s or 0):g} ms for each after it.",
        f"n = {first[0].seeds} seeds, the highest rate found whose whole interval keeps the promise; {MODEL} {QUANT}, "
        "shipped profiles", f"Bars of the request rate that {gpus} GPUs carry, by how they are divided into copies.",
        tuple(dict.fromkeys(_split(row, gpus) for rows in found.values() for row in rows)))


def _split(row: Carried, gpus: int) -> str:
    tp = row.profile.parallel.tp
    return f"{gpus // tp} x {tp}"


def _together_rps(row: Carried, gpus: int) -> float:
    return gpus // row.profile.parallel.tp * row.rate_rps


def failure(rate_rps: float, seeds: int, quick: bool) -> Played:
    """Eight GPUs under the same load; one of them dies, and its group with it. Raises UsageError."""
    within("failure_rps", rate_rps, 1.0, 60.0)
    text = playing.without(playing.shipped("gpu_failure"), "control.cluster", "failures")
    text = playing.changed(text, ("rate_per_s = 44.0", f"rate_per_s = {rate_rps}"),
                           ("duration_s = 50", f"duration_s = {20 if quick else 50}"))
    text += "\n[[failures]]\nkind = \"replica\"\nat_s = 10.0\nreplica = 0\ndown_s = 20.0\n"
    variants = {}
    for tp in WAYS[1::2] if quick else WAYS:
        name, replicas = f"qwen3-32b-h100-tp{tp}-fp8", max(WAYS) // tp
        variants[f"{replicas} x {tp}"] = playing.changed(
            text, ("llama-3.1-8b-h100-tp1-bf16", name), ("replicas = 4", f"replicas = {replicas}"),
            ("window = 24", f"window = {24 * tp}"))
    return playing.play(variants, range(1, (1 if quick else min(seeds, 5)) + 1))


lost = playing.share(("error", "timeout", "rejected", "shed"))


def failure_chart(found: Played) -> Chart:
    return Chart(
        "failure", "copies x GPUs of each",
        (found.panel("requests lost (share)", {"lost": lost}),
         found.panel("95th percentile of time to first token (s)", {"of those answered": playing.ttft_s()},
                     first_colour=1)),
        "One GPU dies for a while and takes its group along: of one large group everything is gone, of eight small "
        "ones an eighth.", found.basis.replace(found.profile, f"of {MODEL} {QUANT} on H100 for each split"),
        "Two panels over the division of eight GPUs into groups: the share of requests lost when one GPU dies, and the "
        "95th percentile of time to first token.", found.names)


def numbers(found: Mapping[str, list[Carried]], gpus: int, played: Played) -> Results:
    return Results((
        *(Result(f"rate_{gpu}_{_split(row, gpus).replace(' ', '')}", _together_rps(row, gpus), "requests/s",
                 "simulated", row.seeds) for gpu, rows in found.items() for row in rows),
        *(Result(f"token_alone_{gpu}_tp{tp}", 1e3 * way(one, 1, 1).token_s, "ms", "imported", 1)
          for gpu in found for tp, one in profiles_of(gpu).items()),
        *played.results("lost_frac", "", lost),
    ))


def answer(found: Mapping[str, list[Carried]], gpus: int, played: Played) -> Prose:
    known = profiles_of("h100_sxm")
    gain = way(known[1], 1, 1).token_s / way(known[8], 1, 1).token_s
    rows = found["h100_sxm"]
    best = max(rows, key=lambda row: _together_rps(row, gpus))
    held = best.trial.attainment if best.trial else None
    kept = f" ({held.mean:.1%} in time, {max(held.low, 0):.1%} to {min(held.high, 1):.1%})" if held else ""
    harm = played.over_seeds(lost)
    few, many = played.names[-1], played.names[0]
    return Prose(
        f"Eight H100s make one request {gain:.1f} times as fast as one does; {gpus} of them carry most as "
        f"**{_split(best, gpus)}**: {_together_rps(best, gpus):.1f} requests/s{kept}. When one GPU dies, **{few}** "
        f"loses {playing.said(*harm[few], 2)} of the requests, **{many}** {playing.said(*harm[many], 2)}."
    )
