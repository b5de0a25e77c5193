"""Figures that others published, typed in with their source: imported, never joined with what was measured here."""

from dataclasses import dataclass

from workbench.hardware.table import Line, lines
from workbench.paths import datasets

DISTANCE, SPEED = "llama_3_8b_distance.csv", "llama_3.1_8b_speed.csv"


@dataclass(frozen=True, slots=True)
class PublishedDistance:
    """`kl_mean` in nats; errors are the source's standard errors. `imatrix` is empty without an importance matrix."""

    model: str
    quant: str
    imatrix: str
    size_gib: float
    perplexity: float
    perplexity_err: float
    kl_mean: float
    kl_mean_err: float
    source: str
    licence: str


@dataclass(frozen=True, slots=True)
class PublishedSpeed:
    """Tokens per second of one sequence alone, on a machine that the source does not name."""

    model: str
    quant: str
    bits_per_weight: float
    size_gib: float
    prefill_tok_per_s: float
    decode_tok_per_s: float
    source: str
    licence: str


def distances() -> tuple[PublishedDistance, ...]:
    return tuple(
        PublishedDistance(
            line.text("model"), line.text("quant"), line.text("imatrix"), line.positive("size_gib"),
            line.positive("perplexity"), line.positive("perplexity_err"), line.positive("kl_mean"),
            line.positive("kl_mean_err"), *_from(line),
        )
        for line in lines(datasets() / "published" / DISTANCE)
    )


def speeds() -> tuple[PublishedSpeed, ...]:
    return tuple(
        PublishedSpeed(
            line.text("model"), line.text("quant"), line.positive("bits_per_weight"), line.positive("size_gib"),
            line.positive("prefill_512_tok_per_s"), line.positive("decode_128_tok_per_s"), *_from(line),
        )
        for line in lines(datasets() / "published" / SPEED)
    )


def _from(line: Line) -> tuple[str, str]:
    """Source and licence; a row that does not say `imported` is refused."""
    line.one_of("origin", ("imported",))
    return line.text("source"), line.one_of("licence", ("MIT", "Apache-2.0"))
