"""What a profile promises in one row: for whom it speaks, what fits, and how fast it decodes at best."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.profile.batch import Batch
from workbench.profile.figures import CTX_TOK, context_tok
from workbench.profile.profile import Profile, read
from workbench.profile.samples import REGIONS

FEW_ITERATIONS = 50
WIDE_FRAC = 0.25


@dataclass(frozen=True, slots=True)
class Best:
    """The most output tokens a second that decoding alone gives: how many decodes, at what context, how fast."""

    tok_per_s: float
    decodes: int
    ctx_tok: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One profile in a list."""

    name: str
    source: str
    engine: str
    model: str
    gpu: str
    gpus: int
    split: str
    quant: str
    kv_type: str
    kv_blocks: int | None
    best: Best
    thin: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def best(profile: Profile) -> Best:
    """Over every number of decodes that was measured, that the engine admits and that its KV cache holds."""
    ctx = CTX_TOK if profile.kv_blocks else context_tok(profile)
    limits = [int(profile.rules[key]) for key in ("max_num_seqs", "slots") if profile.rules.get(key)]
    if profile.kv_blocks:
        limits.append(profile.kv_blocks * profile.block_tok // ctx)
    if (measured := profile.ranges.bounds.get("decode_n")) is not None:
        limits.append(measured.high)
    top = max(1, min(limits, default=1))
    counts = sorted({*(2**i for i in range(top.bit_length())), *range(8, top, 8), top})
    rates = [(n * 1e9 / profile.iteration_ns(Batch((), n, n * ctx, ctx, ctx)), n) for n in counts]
    fastest, n = max(rates, key=lambda rate: (rate[0], -rate[1]))
    return Best(round(fastest, 1), n, ctx)


def thin(profile: Profile) -> tuple[str, ...]:
    """Where the profile knows little: what its source says, and what a fit had few or contradictory iterations of."""
    notes = list(profile.thin)
    if profile.source == "measured":
        notes += [f"{region}: {profile.ranges.regions.get(region, 0)} iterations were measured"
                  for region in REGIONS if profile.ranges.regions.get(region, 0) < FEW_ITERATIONS]
    if profile.fit_report is not None:
        notes += [f"{region}: measured times scatter by {found.sd_frac:.0%} around the profile"
                  for region, found in profile.fit_report.residuals.items() if found.sd_frac > WIDE_FRAC]
    return tuple(notes)


def listed(name: str, profile: Profile) -> Listed:
    about = profile.subject
    return Listed(
        name=name, source=profile.source, engine=about.engine, model=about.model,
        gpu=about.gpu or about.hardware, gpus=about.gpus, split=str(profile.parallel) if about.gpus else "",
        quant=about.quant, kv_type=about.kv_type, kv_blocks=profile.kv_blocks, best=best(profile), thin=thin(profile),
    )


def listing(files: Mapping[str, Path], *, source: str = "", model: str = "", gpu: str = "") -> list[Listed]:
    """Rows of the profiles whose source is `source` and whose model and GPU contain those words, by name."""
    rows = (listed(name, read(path)) for name, path in files.items())
    return sorted((row for row in rows if _wanted(row, source, model, gpu)), key=_order)


def _wanted(row: Listed, source: str, model: str, gpu: str) -> bool:
    words = ((source, row.source), (model, row.model), (gpu, row.gpu))
    return all(word.lower() in text.lower() for word, text in words)


def _order(row: Listed) -> tuple[str, str, str, str, int]:
    return row.source, row.model, row.gpu, row.quant, row.gpus


def decode_rows(profile: Profile, decodes: Iterable[int], contexts: Iterable[int]) -> list[dict[str, Any]]:
    """The decode grid as plain rows: for export and for the surface."""
    contexts = tuple(contexts)
    return [
        {"decode_n": n, "ctx_tok": ctx, "decode_ms": round(profile.iteration_ns(batch) / 1e6, 6),
         "tok_per_s": round(n * 1e9 / profile.iteration_ns(batch), 3), "inside": profile.check(batch) is None}
        for n in decodes for ctx in contexts
        for batch in (Batch((), n, n * ctx, ctx, ctx),)
    ]


def prompt_rows(profile: Profile, new: Iterable[int], past: Iterable[int]) -> list[dict[str, Any]]:
    """One prompt piece alone, over new tokens and tokens in the cache."""
    past = tuple(past)
    return [
        {"new_tok": tok, "past_tok": before, "prefill_ms": round(profile.iteration_ns(batch) / 1e6, 6),
         "tok_per_s": round(tok * 1e9 / profile.iteration_ns(batch), 3), "inside": profile.check(batch) is None}
        for tok in new for before in past
        for batch in (Batch(((tok, before),)),)
    ]


def axes(profile: Profile) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of decodes and contexts per decode that show the profile: powers of two inside what was measured."""
    bounds = profile.ranges.bounds
    top_n = bounds["decode_n"].high if "decode_n" in bounds else 8
    total = bounds["decode_ctx_sum_tok"].high if "decode_ctx_sum_tok" in bounds else 4096
    n = tuple(sorted({*(2**i for i in range(top_n.bit_length())), top_n}))
    top_ctx = max(64, min(131_072, total))
    return n, tuple(2**i for i in range(4, top_ctx.bit_length()))
