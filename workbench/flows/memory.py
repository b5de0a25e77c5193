"""What fits where: one model on one card with remedies, or on every card there is."""

from dataclasses import replace
from typing import Any

from workbench.errors import UsageError
from workbench.hardware import accelerators, models
from workbench.hardware.accelerators import GIB, Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.fit import Ask, Fit, ceiling_tok_per_s, fit, with_split
from workbench.hardware.formats import FORMATS
from workbench.hardware.formats import find as find_format

KIND, SCHEMA = "workbench.memory", 1
DEGREES = (1, 2, 4, 8)
MOST_REMEDIES = 4


def memory(model: str, gpu: str | None, ask: Ask) -> dict[str, Any]:
    """One card, or all of them where `gpu` is None (those that the model does not divide over are left out)."""
    found = models.find(model)
    cards = [accelerators.find(gpu)] if gpu is not None else [accelerators.find(name) for name in accelerators.names()]
    rows = []
    for card in cards:
        try:
            rows.append(_row(card, found, ask))
        except UsageError:
            if gpu is not None:
                raise
    return {
        "kind": KIND, "schema": SCHEMA, "origin": "derived", "model": _model(found, ask),
        "ask": {"quant": find_format(ask.quant).name, "context_tok": ask.context_tok, "requests": ask.requests,
                "kv_type": ask.kv_type, "tp": ask.split.tp, "pp": ask.split.pp, "ep": ask.split.ep,
                "engine": ask.engine or "auto", "utilisation": ask.utilisation},
        "cards": rows,
    }


def _model(found: Architecture, ask: Ask) -> dict[str, Any]:
    return {
        "name": found.name, "params": found.params, "active_params": found.active_params, "source": found.source,
        "bits_per_weight": found.weight_bytes(ask.quant) * 8 / found.params,
        "weights_bytes": found.weight_bytes(ask.quant), "kv_bytes_per_tok": found.kv_bytes_per_tok(ask.kv_type),
        "attention": _attention(found), "context_tok": found.context_tok,
    }


def _attention(found: Architecture) -> str:
    if found.latent is not None:
        return f"latent: {found.latent.cached_values} values a layer and token"
    text = f"{found.heads} heads on {found.kv_heads} KV heads"
    window = found.window
    return text if window is None else f"{text}; {window.layers} of {found.layers} layers look back {window.tok} tokens"


def _row(card: Accelerator, model: Architecture, ask: Ask) -> dict[str, Any]:
    found = fit(card, model, ask)
    return {
        "gpu": card.name, "n": ask.split.tp * ask.split.pp, "fits": found.fits, "engine": found.engine,
        "short_gib": found.short_bytes / GIB, "kv_tok": found.kv_tok, "requests": found.requests,
        "kv_bytes_per_tok": found.kv_bytes_per_tok, "kv_gib_per_request": found.kv_bytes_per_request / GIB,
        "terms_gib": {name: value / GIB for name, value in found.terms.items()},
        "ceiling_tok_per_s": ceiling_tok_per_s(card, model, ask), "source": card.source,
        "remedies": [] if found.fits else remedies(card, model, ask),
    }


def remedies(card: Accelerator, model: Architecture, ask: Ask) -> list[str]:
    """What would fit, nearest to what was asked first: fewer requests, a smaller KV type, fewer bits, more cards."""
    local = ask.runs_on(card) == "llama.cpp"
    found = _fewer(card, model, ask)
    found += [f"--kv-type {kind}" for kind in (("q8_0", "q4_0") if local else ("fp8",))
              if _fits(card, model, replace(ask, kv_type=kind))][:1]
    found += [f"--quant {name}" for name in _smaller(card, ask) if _fits(card, model, replace(ask, quant=name))][:1]
    if not local and card.link_bytes_per_s is not None:
        found += [f"--tp {tp}" for tp in DEGREES if tp > ask.split.tp and _fits(card, model, with_split(ask, tp))][:1]
    larger = sorted((accelerators.find(name) for name in accelerators.names()), key=lambda one: one.memory_bytes)
    found += [f"--gpu {one.name}" for one in larger
              if one.kind == card.kind and one.memory_bytes > card.memory_bytes and _fits(one, model, ask)][:1]
    return found[:MOST_REMEDIES]


def _fewer(card: Accelerator, model: Architecture, ask: Ask) -> list[str]:
    """So many requests, or one of so many tokens."""
    held = _tried(card, model, ask)
    if held is None:
        return []
    if held.requests >= 1:
        return [f"--requests {held.requests}"]
    tok = ask.context_tok
    while tok > 256 and not _fits(card, model, replace(ask, context_tok=tok, requests=1)):
        tok //= 2
    alone = replace(ask, context_tok=tok, requests=1)
    return [f"--requests 1 --context {tok}"] if _fits(card, model, alone) else []


def _smaller(card: Accelerator, ask: Ask) -> list[str]:
    """Formats of the same engine with fewer bits, the most bits first."""
    now = find_format(ask.quant)
    same = [one for one in FORMATS.values() if one.bits < now.bits
            and replace(ask, quant=one.name, engine=None).runs_on(card) == ask.runs_on(card) and one.dtype != "fp4"]
    return [one.name for one in sorted(same, key=lambda one: -one.bits)]


def _fits(card: Accelerator, model: Architecture, ask: Ask) -> bool:
    found = _tried(card, model, ask)
    return found is not None and found.fits


def _tried(card: Accelerator, model: Architecture, ask: Ask) -> Fit | None:
    try:
        return fit(card, model, ask)
    except UsageError:
        return None
