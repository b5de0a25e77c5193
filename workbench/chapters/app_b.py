"""Appendix B: which models there are: in what memory, how fast, how good in few bits, under which licence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.chapters.about import chosen, within
from workbench.chapters.app_b_bits import Kept
from workbench.chapters.app_b_speed import speed_of
from workbench.errors import Failure, UsageError
from workbench.figures.chart import Chart, Origin, Panel, Series
from workbench.figures.table import Table, number
from workbench.hardware import accelerators, licences, models
from workbench.hardware.accelerators import GIB, Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.fit import Ask, Fit, ceiling_tok_per_s, fit
from workbench.hardware.licences import Licence
from workbench.profile.profile import Profile
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

ALLOWED = {"yes": "yes", "conditions": "with conditions", "no": "no"}


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
    left_out: tuple[str, ...]  # do not come in this format

    @property
    def fitting(self) -> list[Candidate]:
        """In memory, and with a context that is long enough."""
        return [one for one in self.models if one.fit.fits and one.model.context_tok >= self.ask.context_tok]

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
    found, left_out = list[Candidate](), list[str]()
    for name in models.names():
        model, licence = models.find(name), licences.find(name)
        if licence is None:
            raise Failure(f"licences.csv: no row for {name}; every model of datasets/models has one")
        need = model.weight_bytes(quant) + requests * model.kv_bytes(context_tok)
        try:
            fits = fit(card, model, ask)
        except UsageError:  # its layers do not cut into whole groups of this format
            left_out.append(name.rpartition("/")[2])
            continue
        found.append(Candidate(model, licence, fits, need, ceiling_tok_per_s(card, model, ask)))
    found.sort(key=lambda one: (one.model.params, one.name))
    return Shelf(card, ask, words, tuple(found), tuple(left_out))


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
    missing = f" Not in this format: {', '.join(found.left_out)}." if found.left_out else ""
    for one in found.models:
        fits = f"{one.fit.kv_tok:,}" if one.fit.fits else f"-{one.fit.short_bytes / GIB:.0f} GiB"
        if one.model.context_tok < found.ask.context_tok:
            fits = f"ends at {one.model.context_tok:,}"
        rows.append((one.name, number(one.model.params / 1e9), number(one.model.active_params / 1e9),
                     number(one.bytes / GIB), fits, number(one.bound_tok_per_s) if one.fit.fits else "n/a",
                     one.licence.spdx, ALLOWED[one.licence.commercial]))
    return Table(("model", "billion", "active", "GiB", f"KV on {found.card.name}", "at most tok/s", "licence",
                  "commercial use"), tuple(rows),
                 f"Derived: parameters, memory of {found.ask.quant} weights and {found.ask.requests} requests, tokens "
                 f"of cache that {found.card.name} has room for, what is missing there, or where the context ends; "
                 f"the bound of bandwidth (roofline). Licences: imported, see below. n = {len(rows)} models.{missing}")


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
        least = min(one.fit.short_bytes for one in found.models) / GIB
        some = "memory holds some, of too short a context or another licence"
        raise UsageError(f"gpu: {card.name}: none of {len(found.models)} models in {ask.quant} with {ask.requests} x "
                         f"{ask.context_tok:,} tokens and commercial use {', '.join(found.words)}; "
                         f"{f'the smallest is short of {least:.1f} GiB' if least else some}")
    best = found.usable[-1]
    return Prose(
        f"{len(found.fitting)} of {len(found.models)} models fit on {card.name} in {ask.quant} with {ask.requests} x "
        f"{ask.context_tok:,} tokens, {len(found.usable)} of them with a licence that was asked for; the largest is "
        f"**{best.name}** ({best.licence.label}), at most {number(best.bound_tok_per_s)} tokens/s for one request. "
        f"{bits.said()}")

