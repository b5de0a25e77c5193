"""Chapter 10: fewer bits, of the weights and of the cache of keys and values: what they bring and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.chapters.engine_runs import Runs, of
from workbench.chapters.playing import said
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.sweeps.report import pareto
from workbench.hardware import models
from workbench.paths import datasets
from workbench.quality import published
from workbench.quality.table import read
from workbench.report.results import Result
from workbench.stats.intervals import Interval

MODEL = "Llama-3.1-8B"
KV_VARIANTS = {"f16": "as it is", "q8_0": "8-bit KV", "q4_0": "4-bit KV"}  # as llama.cpp names them; in the ablation


@dataclass(frozen=True)
class Format:
    """Published: distance of Llama 3 8B, speed of Llama 3.1 8B."""

    quant: str
    bits_per_weight: float
    kl_mean: float
    kl_mean_err: float
    tok_per_s: float


def formats() -> list[Format]:
    """Where both are there, without importance matrices."""
    far = {one.quant: one for one in published.distances() if not one.imatrix}
    return [Format(one.quant, one.bits_per_weight, far[one.quant].kl_mean, far[one.quant].kl_mean_err,
                   one.decode_tok_per_s) for one in published.speeds() if one.quant in far]


def front(found: Sequence[Format]) -> list[Format]:
    """Which no other beats in speed and in distance, the fastest first."""
    return [found[i] for i in pareto([(-one.tok_per_s, one.kl_mean) for one in found])]


def format_chart(found: Sequence[Format]) -> Chart:
    best = front(found)
    series = [_points("nothing beats it", best, 0)]
    if beaten := [one for one in found if one not in best]:
        series.append(_points("another is faster and nearer", beaten, 1))
    return Chart(
        "formats", "tokens per second of one request",
        (Panel("mean KL divergence to F16 (nats)", tuple(series), log_y=True),),
        f"The distance is that of Llama 3 8B, the speed that of {MODEL} on a machine that the source does not name: "
        "what fewer bits bring, and what they take away.",
        f"n = {len(found)} quantisations, whiskers are 1.96 standard errors; source: ggml-org/llama.cpp, MIT",
        "Marks of quantisations by speed and, on a logarithmic axis, by distance from the unquantised model; those "
        "that none beats form a rising line.")


def _points(name: str, found: Sequence[Format], colour: int) -> Series:
    return Series(
        name, tuple(one.tok_per_s for one in found), tuple(one.kl_mean for one in found), "imported", "points", colour,
        tuple(one.kl_mean - 1.96 * one.kl_mean_err for one in found),
        tuple(one.kl_mean + 1.96 * one.kl_mean_err for one in found), labels=tuple(one.quant for one in found))


def kv_distances() -> dict[str, Interval]:
    """Of the shipped model on llama.cpp, unquantised weights: KV type -> mean KL divergence to 16-bit KV (nats)."""
    rows = read(datasets() / "quality" / "tiny_world.csv")
    return {row.words["kv_type"]: row.figures["kl_mean"] for row in rows
            if (row.words["engine"], row.words["quant"]) == ("llama.cpp", "F16")}


def kv_times(kv_type: str) -> float:
    """How many times the tokens that 16-bit keys and values leave room for."""
    model = models.find(MODEL)
    return model.kv_bytes_per_tok("f16") / model.kv_bytes_per_tok(kv_type)


def kv_table(found: Runs) -> Table:
    """What a smaller type brings under load, and what it does to answers."""
    far = kv_distances()
    rows = tuple((kv_type, number(models.find(MODEL).kv_bytes_per_tok(kv_type) / 1024), number(kv_times(kv_type)),
                  *_under_load(found, variant), said(far[kv_type].mean, max(far[kv_type].low, 0.0), far[kv_type].high))
                 for kv_type, variant in KV_VARIANTS.items())
    return Table(
        ("KV type", "KiB a token", "tokens in the same memory (times)", "TTFT p95 (s)", "preemptions",
         "KL divergence of the shipped model (nats)"), rows,
        f"KiB are derived for {MODEL}; times under load simulated, {found.basis}; the divergence is measured on "
        f"llama.cpp, n = {far['f16'].n:,} tokens, datasets/quality. That a smaller type takes time to unpack is left "
        "out.")


def _under_load(found: Runs, variant: str) -> tuple[str, str]:
    waits = found.interval(variant, of("ttft_s", 0.95))
    again = found.interval(variant, lambda run: float(run.preemptions))
    return said(waits.mean, max(waits.low, 0.0), waits.high), said(again.mean, max(again.low, 0.0), again.high)


def results() -> list[Result]:
    return [*(Result(f"kl_mean_{one.quant}", one.kl_mean, "nats", "imported", None,
                     one.kl_mean - 1.96 * one.kl_mean_err, one.kl_mean + 1.96 * one.kl_mean_err) for one in formats()),
            *(Result(f"kl_mean_kv_{kv_type}", one.mean, "nats", "measured", one.n, max(one.low, 0.0), one.high)
              for kv_type, one in kv_distances().items())]
