"""What a profile says in figures that people compare: decode step times and prefill rates, and two profiles' ratio."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from workbench.profile.batch import Batch
from workbench.profile.profile import Profile, Source

DECODES, PROMPTS_TOK = (1, 2, 4, 8), (64, 256, 512)
MANY_DECODES, LONG_PROMPTS_TOK = (1, 8, 64, 256), (256, 2048, 8192)  # of a profile that was measured so far
MEANS: Mapping[Source, str] = MappingProxyType({
    "measured": "whole iterations of an engine as it ran",
    "silicon": "kernels measured one by one and added up; an engine's own time between iterations is not in it",
    "imported": "somebody else's measurements, as their file gives them",
    "roofline": "computed from datasheet peaks, nothing measured",
    "derived": "another quantisation's measured profile, by the ratio of their speeds",
})
CTX_TOK = 1024  # where the profile speaks of a whole grid


@dataclass(frozen=True, slots=True)
class Figure:
    """One derived number; `inside` says whether the profile was measured there."""

    name: str
    unit: str
    value: float
    inside: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """The same figure of two profiles; `ratio` is b over a."""

    name: str
    unit: str
    a: float
    b: float
    ratio: float
    inside: bool


def context_tok(profile: Profile) -> int:
    """Context per decode at which figures are given: the middle of what was measured, for a full batch."""
    if _many(profile):
        return CTX_TOK
    total, decodes = profile.ranges.bounds.get("decode_ctx_sum_tok"), profile.ranges.bounds.get("decode_n")
    if total is None or decodes is None:
        return 256
    return max(1, (total.low // decodes.low + total.high // decodes.high) // 2)


def _many(profile: Profile) -> bool:
    decodes = profile.ranges.bounds.get("decode_n")
    return decodes is not None and decodes.high >= MANY_DECODES[2]


def figures(profile: Profile, *, many: bool | None = None) -> tuple[Figure, ...]:
    """Decode step in ms by number of sequences; prefill rate in tok/s of one prompt alone; `many`: up to 256."""
    wide = _many(profile) if many is None else many
    each = context_tok(profile)
    decodes = [(f"decode step, {n} sequence{'s' if n > 1 else ''}", Batch((), n, n * each, each, each))
               for n in (MANY_DECODES if wide else DECODES)]
    prompts = [(f"prefill, {n} tokens alone", Batch(((n, 0),))) for n in (LONG_PROMPTS_TOK if wide else PROMPTS_TOK)]
    found = [
        Figure(name, "ms", profile.iteration_ns(batch) / 1e6, profile.check(batch) is None) for name, batch in decodes
    ]
    return (*found, *(
        Figure(name, "tok/s", batch.prefill_tok * 1e9 / profile.iteration_ns(batch), profile.check(batch) is None)
        for name, batch in prompts
    ))


def compare(a: Profile, b: Profile) -> tuple[Compared, ...]:
    """Figure by figure; a figure counts as inside only where both profiles were measured."""
    many = _many(a) and _many(b)
    return tuple(
        Compared(one.name, one.unit, one.value, other.value, other.value / one.value, one.inside and other.inside)
        for one, other in zip(figures(a, many=many), figures(b, many=many), strict=True)
    )


def side(profile: Profile) -> str:
    """One line: what was profiled, on what, how split, and who says so."""
    about = profile.subject
    what = " ".join(filter(None, (about.engine, about.model, about.quant))) or "unnamed"
    place = about.hardware or about.gpu
    if place and about.gpus:
        place += f" {profile.parallel}"
    return ", ".join(filter(None, (what, place, f"source {profile.source}")))


def compare_notes(a: Profile, b: Profile) -> list[str]:
    """What a reader of the ratios must know: sources that do not say the same kind of time."""
    if a.source == b.source:
        return []
    return [f"the sources differ ({a.source} against {b.source}), so a ratio mixes the set-ups with how each was found",
            *(f"{source}: {MEANS[source]}" for source in (a.source, b.source))]


def as_json(profile: Profile) -> dict[str, Any]:
    """For `--json`: the profile, its hash, its figures."""
    return {
        "profile": profile.model_dump(mode="json", by_alias=True), "sha256": profile.sha256,
        "context_tok": context_tok(profile), "figures": [asdict(item) for item in figures(profile)],
    }
