"""Chapter 10: what each optimisation brings by itself: precision, batching, paging, chunking, KV types, speculation."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.chapters import ch10_bits, engine_runs
from workbench.chapters.about import within
from workbench.chapters.engine_runs import Runs, Variant, of
from workbench.figures.chart import Chart, Panel
from workbench.figures.table import Table, number
from workbench.report.prose import Prose
from workbench.report.results import Results

LOAD = {
    "requests": 200, "warmup_requests": 30, "arrivals": {"kind": "poisson", "rate_per_s": 20.0},
    "prompt_tok": {"kind": "lognormal", "p50_tok": 900, "p95_tok": 4000, "max_tok": 8000},
    "output_tok": {"kind": "lognormal", "p50_tok": 150, "p95_tok": 500, "max_tok": 1000},
}
KV_BLOCKS = 2500  # small enough that paging matters
BASE: Mapping[str, Any] = {"kv_blocks": KV_BLOCKS, "max_num_seqs": 64}
FP8 = "llama-3.1-8b-h100-tp1-fp8"
ABLATIONS: Mapping[str, Variant] = {
    "as it is": Variant(BASE),
    "static": Variant({**BASE, "batching": "static"}),
    "contiguous KV": Variant({**BASE, "kv_reserve": "contiguous", "max_model_len_tok": 9000}),
    "no chunks": Variant({**BASE, "chunked_prefill": False, "max_num_batched_tokens": 16384}),
    "small chunks": Variant({**BASE, "max_num_batched_tokens": 512}),
    "8-bit KV": Variant({**BASE, "kv_blocks": round(ch10_bits.kv_times("q8_0") * KV_BLOCKS)}),
    "4-bit KV": Variant({**BASE, "kv_blocks": round(ch10_bits.kv_times("q4_0") * KV_BLOCKS)}),
}
ACCEPTANCES = (0.3, 0.6, 0.8)


def experiment(rate_per_s: float, seeds: int, quick: bool) -> Runs:
    """Each switch by itself against the same arrivals. Raises UsageError."""
    within("rate_per_s", rate_per_s, 0.5, 200.0)
    within("seeds", seeds, 2, 50)
    base = {**LOAD, "arrivals": {"kind": "poisson", "rate_per_s": rate_per_s}, "requests": 100 if quick else 200}
    return engine_runs.run(base, ABLATIONS, range(1, (3 if quick else seeds) + 1))


def ablation_chart(found: Runs) -> Chart:
    return Chart(
        "ablation", "one switch changed",
        (found.panel("time to first token (s)", {"p95 TTFT": of("ttft_s", 0.95)}, log_y=True),
         found.panel("time per output token (s)", {"mean TPOT": of("tpot_s")}, first_colour=1),
         found.panel("longest gap of an answer (s)", {"p95 stall": of("stall_s", 0.95)}, first_colour=2)),
        "The engine as it is (continuous batching, paged KV, chunked prompts), and with one thing changed at a time.",
        found.basis, "Three panels over seven settings of one engine: time to first token on a logarithmic axis, time "
        "per output token, and the longest gap of an answer.", found.names)


def ablation_table(found: Runs) -> Table:
    return found.table({
        "TTFT p95 (s)": of("ttft_s", 0.95), "TPOT (s)": of("tpot_s"), "stall p95 (s)": of("stall_s", 0.95),
        "output tokens/s": of("output_tok_per_s"), "mean batch": engine_runs.mean_batch,
        "preemptions": engine_runs.preemptions}, "One switch at a time.")


def speculation(rates_per_s: Sequence[float], seeds: int, quick: bool) -> dict[float, Runs]:
    """Three drafted tokens at several shares of acceptance, alone and under load. The draft itself costs nothing."""
    variants = {"none": Variant(BASE)} | {
        f"{share:.0%} accepted": Variant({**BASE, "draft_tok": 3, "acceptance": share}) for share in ACCEPTANCES}
    n = 20 if quick else 60
    return {rate: engine_runs.run({**LOAD, "arrivals": {"kind": "poisson", "rate_per_s": rate}, "requests": n,
                                   "warmup_requests": 5}, variants, range(1, (2 if quick else seeds) + 1))
            for rate in rates_per_s}


def speculation_chart(found: Mapping[float, Runs]) -> Chart:
    first = next(iter(found.values()))
    series = tuple(first_runs.series(f"{rate:g} requests/s", of("tpot_s"), i)
                   for i, (rate, first_runs) in enumerate(found.items()))
    return Chart(
        "speculation", "three drafted tokens", (Panel("time per output token (s)", series),),
        "Speculation trades computing for latency: alone it helps, in a full batch the drafts compete with other "
        "people's tokens. What the draft model itself costs is left out: an upper bound of the gain.", first.basis,
        "Marks for no speculation and three shares of acceptance, at several request rates: the time per output token.",
        first.names)


def numbers(found: Runs, speculated: Mapping[float, Runs]) -> Results:
    low = min(speculated)
    return Results((
        *found.results("ttft_p95_s", "s", of("ttft_s", 0.95)), *found.results("tpot_s", "s", of("tpot_s")),
        *found.results("stall_p95_s", "s", of("stall_s", 0.95)),
        *speculated[low].results(f"speculation_tpot_s_at_{low:g}_rps", "s", of("tpot_s")),
        *ch10_bits.results(),
    ))


def answer(found: Runs, speculated: Mapping[float, Runs]) -> Prose:
    plain = found.interval("as it is", of("ttft_s", 0.95))
    losses = {name: found.interval(name, of("ttft_s", 0.95)) for name in ("static", "contiguous KV")}
    worst = max(losses, key=lambda name: losses[name].mean)
    low = min(speculated)
    best = f"{ACCEPTANCES[-1]:.0%} accepted"
    gain = (speculated[low].interval("none", of("tpot_s")).mean / speculated[low].interval(best, of("tpot_s")).mean)
    return Prose(
        f"Of these switches **{worst}** costs most: the p95 of time to first token goes from "
        f"{engine_runs.said(plain)} s to {engine_runs.said(losses[worst])} s; and three drafted tokens make an answer "
        f"{number(gain, 3)} times as fast at {low:g} requests/s if {best}."
    )
