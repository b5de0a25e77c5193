"""Appendix B: which models there are: in what memory, how fast, how good in few bits, under which licence."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.chapters.about import chosen, within
from workbench.chapters.app_b_bits import Kept
from workbench.chapters.playing import said
from workbench.errors import Failure, UsageError
from workbench.figures.chart import Chart, Origin, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.engine_choosing import LARGE, MOST, SMALL, curves
from workbench.flows.sweeps.figures_row import read as read_figures
from workbench.hardware import accelerators, licences, models
from workbench.hardware.accelerators import GIB, Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.fit import Ask, Fit, ceiling_tok_per_s, fit
from workbench.hardware.licences import Licence
from workbench.paths import datasets
from workbench.profile.batch import Batch
from workbench.profile.locate import shipped
from workbench.profile.profile import Profile, read
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

ALLOWED = {"yes": "yes", "conditions": "with conditions", "no": "no"}
CARDS = {"l40s": "L40S", "h100_sxm": "H100", "h200_sxm": "H200", "b200_sxm": "B200"}  # of the shipped profiles
SPEED_QUANT, CONTEXT_TOK, TOGETHER = "fp8", 1024, 64


@dataclass(frozen=True)
class Candidate:
    """A model on one card in one format."""

    model: Architecture
    licence: Licence
    fit: Fit
    bytes: float  # weights, and the cache of the requests
    bound_tok_per_s: float  # of one request, by bandwidth

    @property
    def name(self) -> str:
        return self.model.name.rpartition("/")[2]


@dataclass(frozen=True)
class Shelf:
    """All known models on a card, the smallest first."""

    card: Accelerator
    ask: Ask
    words: Sequence[str]  # what commercial use may be
    models: tuple[Candidate, ...]

    @property
    def fitting(self) -> list[Candidate]:
        return [one for one in self.models if one.fit.fits]

    @property
    def usable(self) -> list[Candidate]:
        """Of those that fit, the ones whose licence may be taken; the largest last."""
        return [one for one in self.fitting if one.licence.commercial in self.words]


def shelf(gpu: str, quant: str, context_tok: int, requests: int, commercial: str) -> Shelf:
    """Raises UsageError."""
    within("context_tok", context_tok, 128, 131_072)
    within("requests", requests, 1, 1000)
    words = chosen("commercial", commercial, tuple(ALLOWED))
    card, ask = accelerators.find(gpu), Ask(quant, context_tok, requests)
    found = []
    for name in models.names():
        model, licence = models.find(name), licences.find(name)
        if licence is None:
            raise Failure(f"licences.csv: no row for {name}; every model of datasets/models has one")
        need = model.weight_bytes(quant) + requests * model.kv_bytes(context_tok)
        found.append(Candidate(model, licence, fit(card, model, ask), need, ceiling_tok_per_s(card, model, ask)))
    return Shelf(card, ask, words, tuple(sorted(found, key=lambda one: (one.model.params, one.name))))


def memory_chart(found: Shelf) -> Chart:
    """The bound of one request's speed over memory."""
    ask, card = found.ask, found.card
    return Chart(
        "models", _memory_axis(found),
        (Panel("tokens per second of one request, at most",
               _points(found, lambda one: one.bound_tok_per_s, "roofline", _density), log_y=True),),
        f"{card.name}'s bandwidth is the bound, and it holds what lies left of the line. Mixtures of experts lie above "
        "the others of their size: they read a part of themselves for a token.",
        f"n = {len(found.models)} models, {ask.requests} x {ask.context_tok:,} tokens of cache; source: "
        "datasets/models, datasets/hardware",
        "The bound of each model's speed over the memory that it takes, both logarithmic: it falls as memory grows, "
        "and mixtures of experts lie above dense models of the same size.",
        marks=((card.visible_gib, card.name),), log_x=True)


def context_chart(found: Shelf) -> Chart:
    """What one more token of context takes."""
    order = sorted(found.models, key=lambda one: one.model.kv_bytes_per_tok())
    return Chart(
        "context", _memory_axis(found),
        (Panel("cache of one token (KiB)",
               _points(found, lambda one: one.model.kv_bytes_per_tok() / 1024, "derived", _attention), log_y=True),),
        "Context has its own price, in 16 bits: heads that share keys and values made it cheap, latent attention "
        f"cheaper. Most pays {order[-1].name}, least {order[0].name}. Layers with a sliding window pay only until it "
        "is full, and are counted as if it never were.",
        f"n = {len(found.models)} models; source: datasets/models",
        "The cache of one token over the memory of each model, both logarithmic: it follows the kind of attention more "
        "than the size.", log_x=True)


def _memory_axis(found: Shelf) -> str:
    return f"weights in {found.ask.quant} and cache (GiB)"


def _points(found: Shelf, figure: Callable[[Candidate], float], origin: Origin, kind: Callable[[Candidate], str]
            ) -> tuple[Series, ...]:
    """A colour for each kind of model."""
    by: dict[str, list[Candidate]] = {}
    for one in found.models:
        by.setdefault(kind(one), []).append(one)
    return tuple(Series(name, tuple(one.bytes / GIB for one in mine), tuple(map(figure, mine)), origin, "points", i)
                 for i, (name, mine) in enumerate(sorted(by.items())))


def _density(one: Candidate) -> str:
    return "mixture of experts" if one.model.moe else "dense"


def _attention(one: Candidate) -> str:
    if one.model.latent is not None:
        return "latent"
    if one.model.window is not None:
        return "sliding windows"
    return "each head its own" if one.model.heads == one.model.kv_heads else "shared by heads"


def model_table(found: Shelf) -> Table:
    rows = []
    for one in found.models:
        fits = f"{one.fit.kv_tok:,}" if one.fit.fits else f"-{one.fit.short_bytes / GIB:.0f} GiB"
        rows.append((one.name, number(one.model.params / 1e9), number(one.model.active_params / 1e9),
                     number(one.bytes / GIB), fits, number(one.bound_tok_per_s) if one.fit.fits else "n/a",
                     one.licence.spdx, ALLOWED[one.licence.commercial]))
    return Table(("model", "billion", "active", "GiB", f"KV on {found.card.name}", "at most tok/s", "licence",
                  "commercial use"), tuple(rows),
                 f"Derived: parameters, memory of {found.ask.quant} weights and {found.ask.requests} requests, tokens "
                 f"of cache that {found.card.name} has room for or what is missing there, and the bound of bandwidth "
                 f"(roofline). Licences: imported, see below. n = {len(rows)} models.")


def profiles() -> dict[str, dict[str, Profile]]:
    """Model -> card -> the shipped profile on the fewest GPUs, in one format."""
    found: dict[str, dict[str, Profile]] = {}
    for name, path in shipped().items():
        if f"-{SPEED_QUANT}" in name and path.parent.name == "silicon":
            one = read(path)
            mine = found.setdefault(one.subject.model.rpartition("/")[2].removeprefix("Meta-"), {})
            before = mine.get(one.subject.gpu)
            if one.subject.gpu in CARDS and (before is None or one.subject.gpus < before.subject.gpus):
                mine[one.subject.gpu] = one
    return dict(sorted(found.items(), key=lambda item: models.find(item[0]).params))


def speed_of(profile: Profile, decodes: int) -> float:
    """Tokens per second of all decodes together."""
    batch = Batch((), decodes, decodes * CONTEXT_TOK, CONTEXT_TOK, CONTEXT_TOK)
    return decodes * 1e9 / profile.iteration_ns(batch)


def speed_chart(found: dict[str, dict[str, Profile]]) -> Chart:
    names = tuple(_size(name) for name in found)  # whole names would be turned
    alone, each = [], []
    for i, (gpu, label) in enumerate(CARDS.items()):
        mine = [cards.get(gpu) for cards in found.values()]
        alone.append(Series(label, names, tuple(speed_of(one, 1) if one else None for one in mine), "imported", "bars",
                            i))
        each.append(Series(label, names, tuple(speed_of(one, TOGETHER) / one.subject.gpus if one else None
                                               for one in mine), "imported", "bars", i))
    return Chart(
        "speed", "parameters", (Panel("tokens per second of one request", tuple(alone), log_y=True),
                           Panel(f"tokens per second and GPU, {TOGETHER} requests", tuple(each), log_y=True)),
        f"{', '.join(found)}: shipped profiles in {SPEED_QUANT} on the fewest GPUs that hold the model; kernels added "
        "up, without the engine's own time.",
        f"n = {sum(map(len, found.values()))} profiles at {CONTEXT_TOK:,} tokens of context; source: NVIDIA's kernel "
        "database", "Two panels of bars for each model and card: tokens per second of one request, and for each GPU "
        "with many requests; large mixtures are nearer to small models than their size says.", names)


def _size(name: str) -> str:
    """What a name says of it: `480B-A35B`."""
    found = re.search(r"\d+B(-A\d+B)?", name)
    return found[0] if found else name


def cpu_table() -> Table:
    """The models that were really run here. Raises Failure where the figures are not installed."""
    path = datasets() / "measured" / "engines_cpu.csv"
    if not path.is_file():
        raise Failure(f"{path.name}: measured figures are missing from this installation")
    every, rows = read_figures(path), []
    for model in (SMALL, LARGE):
        for curve in curves(every, model).values():
            loads = [curve.by[load] for load in (1, MOST)]
            rows.append((model, curve.name, *(said(row.output_tok_per_s or 0.0, row.output_tok_per_s_low,
                                                   row.output_tok_per_s_high) for row in loads)))
    return Table(("model", "engine and weights", "tok/s, alone", f"tok/s, {MOST} at once"), tuple(rows),
                 f"Measured: datasets/measured, one compute thread of {every[0].machine}, {every[0].date}; in brackets "
                 f"the worst and the best of n = {min(row.repeats for row in every)} or more repeats.")


def licence_table() -> Table:
    rows = tuple((one.family, one.name if one.spdx == licences.CUSTOM else one.spdx, ALLOWED[one.commercial],
                  one.conditions or "none of note", one.since, one.source) for one in licences.every())
    return Table(("family", "licence", "commercial use", "conditions, in short", "since", "source"), rows,
                 f"Imported: datasets/models/licences.csv, typed in from the sources named; n = {len(rows)} families. "
                 "No legal advice: read the text that comes with the weights.")


def numbers(found: Shelf, speeds: dict[str, dict[str, Profile]], bits: Kept) -> Results:
    n = len(found.models)
    return Results((
        Result("models", n, "", "derived", n),
        Result("fit", len(found.fitting), "", "derived", n),
        Result("fit_and_allowed", len(found.usable), "", "derived", n),
        *(Result(f"bound_{one.name}", one.bound_tok_per_s, "tokens/s", "roofline") for one in found.usable[-1:]),
        *(Result(f"alone_{name}_{gpu}", speed_of(one, 1), "tokens/s", "imported", 1)
          for name, cards in speeds.items() for gpu, one in cards.items()),
        *bits.results(),
    ))


def answer(found: Shelf, bits: Kept) -> Prose:
    card, ask = found.card, found.ask
    if not found.usable:
        raise UsageError(f"gpu: {card.name}: holds none of {len(found.models)} models in {ask.quant} with this context "
                         f"and a licence of {', '.join(found.words)}; the smallest is short of "
                         f"{min(one.fit.short_bytes for one in found.models) / GIB:.1f} GiB")
    best = found.usable[-1]
    return Prose(
        f"{len(found.fitting)} of {len(found.models)} models fit on {card.name} in {ask.quant} with {ask.requests} x "
        f"{ask.context_tok:,} tokens, {len(found.usable)} of them with a licence that was asked for; the largest is "
        f"**{best.name}** ({best.licence.label}), at most {number(best.bound_tok_per_s)} tokens/s for one request. "
        f"{bits.said()}")

