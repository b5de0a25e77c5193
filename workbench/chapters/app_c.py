"""Appendix C: symptoms, how each is seen in a run log, what causes it and what helps; each reproduced here."""

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.chapters import engine_runs
from workbench.chapters.about import chosen, within
from workbench.chapters.engine_runs import Figure, Runs, Variant, of
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table
from workbench.report.prose import Prose
from workbench.report.results import Results

CHAT = {
    "requests": 150, "warmup_requests": 20, "arrivals": {"kind": "poisson", "rate_per_s": 12.0},
    "prompt_tok": {"kind": "lognormal", "p50_tok": 800, "p95_tok": 2500, "max_tok": 6000},
    "output_tok": {"kind": "lognormal", "p50_tok": 150, "p95_tok": 400, "max_tok": 800},
}
FAST = {"kind": "poisson", "rate_per_s": 60.0}
SHARED = {"groups": 10, "tok": 1024, "share_frac": 0.9, "skew": 1.0}
LONG = {"kind": "lognormal", "p50_tok": 4000, "p95_tok": 12000, "max_tok": 16000}


@dataclass(frozen=True)
class Trouble:
    """`ill` shows the symptom, `well` has the remedy; `figure` is the column of the log where one sees it."""

    symptom: str
    seen: str
    cause: str
    remedy: str
    figure: Figure
    unit: str
    ill: Variant
    well: Variant


TROUBLES: Mapping[str, Trouble] = {
    "queue": Trouble(
        "the first token comes later and later", "ttft_s grows with sent_ns while tpot_s does not; MSER finds no end "
        "of the warm-up", "more arrives than the fleet completes", "more replicas, or a bound on the line",
        of("ttft_s", 0.95), "s", Variant(workload={"arrivals": FAST, "requests": 400}),
        Variant(workload={"arrivals": FAST, "requests": 400}, replicas=4)),
    "batch": Trouble(
        "answers crawl, though they begin at once", "tpot_s is high and ttft_s low; many sequences in an iteration",
        "the batch is larger than the promise allows", "a smaller max_num_seqs, and replicas for the rest",
        of("tpot_s"), "s", Variant({"max_num_seqs": 256}, {"arrivals": FAST}),
        Variant({"max_num_seqs": 16}, {"arrivals": FAST}, replicas=4)),
    "stall": Trouble(
        "answers stop in the middle", "stall_s is many times tpot_s", "a long prompt is computed whole while everybody "
        "waits", "chunked prefill with a small token budget", of("stall_s", 0.95), "s",
        Variant({"chunked_prefill": False, "max_num_batched_tokens": 16384}, {"prompt_tok": LONG}),
        Variant({"max_num_batched_tokens": 512}, {"prompt_tok": LONG})),
    "memory": Trouble(
        "answers stop, go back and begin again", "preemptions is above zero", "the KV cache is full: sequences are "
        "thrown out and computed again", "fewer sequences at once, a smaller KV type, or more memory",
        engine_runs.preemptions, "", Variant({"kv_blocks": 1500}, {"arrivals": FAST}),
        Variant({"kv_blocks": 20000}, {"arrivals": FAST})),
    "cache": Trouble(
        "the same beginning is computed again and again", "cached_tok is zero in every row", "prefix caching is off, "
        "or something that differs comes first in the prompt", "turn it on, and put what is shared first",
        lambda run: 1.0 - engine_runs.cached_frac(run), "", Variant({"prefix_caching": False}, {"prefix": SHARED}),
        Variant({"prefix_caching": True}, {"prefix": SHARED})),
}


def experiment(troubles: str, seeds: int, quick: bool) -> dict[str, Runs]:
    """Each trouble, ill and well. Raises UsageError."""
    names = chosen("troubles", troubles, tuple(TROUBLES))
    within("seeds", seeds, 2, 50)
    span = range(1, (2 if quick else seeds) + 1)
    pairs = {name: {"ill": TROUBLES[name].ill, "well": TROUBLES[name].well} for name in names}
    return {name: engine_runs.run(CHAT, pair, span) for name, pair in pairs.items()}


def guide(found: Mapping[str, Runs]) -> Table:
    rows = tuple((TROUBLES[name].symptom, TROUBLES[name].seen, TROUBLES[name].cause, TROUBLES[name].remedy)
                 for name in found)
    return Table(("symptom", "how to see it in a run log", "cause", "remedy"), rows,
                 "Each row is reproduced below. The columns are those of the run log and of its summary.")


def proof(found: Mapping[str, Runs]) -> Table:
    rows = []
    for name, runs in found.items():
        item = TROUBLES[name]
        cells = [engine_runs.said(runs.interval(kind, item.figure)) for kind in ("ill", "well")]
        rows.append((item.symptom, item.unit or "number or share", *cells))
    first = next(iter(found.values()))
    return Table(("symptom", "unit of what is seen", "ill", "with the remedy"), tuple(rows),
                 f"Simulated; {first.basis}.")


def picture(found: Mapping[str, Runs]) -> Chart:
    """What is left of each symptom, as a share of what it was."""
    left = {name: _left(runs, name) for name, runs in found.items()}
    first = next(iter(found.values()))
    return Chart(
        "remedies", "trouble", (Panel("what is left with the remedy (share)", (
            Series("left", tuple(left), tuple(left.values()), "simulated", "bars"),), level=1.0,
            level_label="as without"),),
        "Each symptom's own figure with the remedy, as a share of what it was without.", first.basis,
        "Bars for each trouble: how much of its symptom is left once the remedy is in place.", tuple(left))


def numbers(found: Mapping[str, Runs]) -> Results:
    return Results(tuple(item for name, runs in found.items()
                         for item in runs.results(name, TROUBLES[name].unit, TROUBLES[name].figure)))


def answer(found: Mapping[str, Runs]) -> Prose:
    left = {name: _left(runs, name) for name, runs in found.items()}
    worst = max(left, key=lambda name: left[name] or 0.0)
    row = found[worst].interval("well", TROUBLES[worst].figure)
    return Prose(
        f"All {len(found)} troubles can be made and unmade here; the remedy that leaves most is that of "
        f"**{TROUBLES[worst].symptom}**, with {left[worst] or 0.0:.0%} left "
        f"({engine_runs.said(row)} {TROUBLES[worst].unit})."
    )


def _left(runs: Runs, name: str) -> float | None:
    ill, well = (runs.interval(kind, TROUBLES[name].figure).mean for kind in ("ill", "well"))
    return well / ill if ill else None
