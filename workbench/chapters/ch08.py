"""Chapter 8: what a cache hits, for how long to keep, what a stampede costs, and when not to cache."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.chapters.about import within
from workbench.control.cache import Hit, Lead, ResponseCache, cache_key
from workbench.economics.claims.serving import kept_hit_frac
from workbench.figures.chart import Chart, Origin, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.paths import public_data
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec
from workbench.workload.traces import read_jsonl

SECOND = 10**9
TTLS_S = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
TRACE = "traces/mooncake_synthetic_trace.jsonl"  # kvcache-ai/Mooncake, Apache-2.0
BLOCK_TOK = 512  # of that trace
SEED = 5  # of what is drawn where no trace is
SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)  # blocks
COST_OF_HIT_FRAC = (0.001, 0.1, 0.5)  # of a miss: memory, a network round trip, checking that an old answer still holds


@dataclass(frozen=True)
class Kept:
    """By time to live: the share of hits of each seed, and what a formula says."""

    ttls_s: tuple[float, ...]
    hits: tuple[Interval, ...]
    formula: tuple[float, ...]
    requests: int


def popularity(questions: int, skew: float) -> NDArray[np.float64]:
    """Of each question, by rank: 1 / rank^skew."""
    weights = 1.0 / np.arange(1, questions + 1) ** skew
    return np.asarray(weights / weights.sum())


def keep(questions: int, skew: float, rate_per_s: float, seeds: int, quick: bool) -> Kept:
    """Poisson arrivals and a cache that is large enough: only time ends an entry. Raises UsageError."""
    within("questions", questions, 1, 100_000)
    within("skew", skew, 0.0, 3.0)
    within("rate_per_s", rate_per_s, 0.01, 1000.0)
    within("seeds", seeds, 2, 100)
    ttls, n, seeds = (TTLS_S[::2], 4_000, 3) if quick else (TTLS_S, 20_000, seeds)
    share = popularity(questions, skew)
    hits = tuple(t_interval(np.array([_hit_frac(ttl_s, share, rate_per_s, n, seed) for seed in range(seeds)]))
                 for ttl_s in ttls)
    formula = tuple(kept_hit_frac(share.tolist(), rate_per_s, ttl_s) for ttl_s in ttls)
    return Kept(ttls, hits, formula, n)


def _hit_frac(ttl_s: float, share: NDArray[np.float64], rate_per_s: float, n: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    times_ns = np.cumsum(rng.exponential(SECOND / rate_per_s, n)).astype(np.int64)
    asked = rng.choice(len(share), n, p=share)
    cache = ResponseCache(10**9, round(ttl_s * SECOND))
    keys = [cache_key("m", "r", {"temperature": 0}, str(i), "all") for i in range(len(share))]
    cold = n // 5  # the first fifth warms it
    for i, (now_ns, which) in enumerate(zip(times_ns.tolist(), asked.tolist(), strict=True)):
        if i == cold:
            cache.hits = cache.misses = 0
        if isinstance(cache.look(now_ns, keys[which], str(i)), Lead):
            cache.fill(now_ns, keys[which], b"answer")
    return cache.hits / (cache.hits + cache.misses)


def ttl_chart(found: Kept) -> Chart:
    return Chart(
        "ttl", "time to live (s)", (Panel("share of requests answered from the cache", (
            Series("formula", found.ttls_s, found.formula, "derived", "line", 6),
            Series("cache", found.ttls_s, tuple(row.mean for row in found.hits), "simulated", "points", 1,
                   tuple(row.low for row in found.hits), tuple(row.high for row in found.hits)))),),
        "Keeping ten times as long does not hit ten times as often: popular questions are hit soon, rare ones seldom.",
        f"n = {found.hits[0].n} seeds of {found.requests} requests, whiskers are 95 % intervals of the mean",
        "The hit rate over the time to live on a logarithmic axis: by formula, and by the cache of the control plane.",
        log_x=True)


def stampede(asking: Sequence[int] = (1, 4, 16, 64, 256)) -> dict[int, tuple[int, int]]:
    """So many ask the same at once after it expired: answers computed with single flight and without it."""
    found = {}
    for n in asking:
        cache, key = ResponseCache(10**6, SECOND), cache_key("m", "r", {"temperature": 0}, "popular", "all")
        looks = [cache.look(i, key, str(i)) for i in range(n)]
        found[n] = (sum(isinstance(one, Lead) for one in looks), sum(not isinstance(one, Hit) for one in looks))
    return found


def stampede_chart() -> Chart:
    found = stampede()
    x = tuple(map(float, found))
    return Chart(
        "stampede", "requests for the same expired answer", (Panel("answers computed (number)", (
            Series("without single flight", x, tuple(each for _, each in found.values()), "simulated", "line", 1),
            Series("with it", x, tuple(one for one, _ in found.values()), "simulated", "line", 0))),),
        "When a popular answer expires, everybody misses at once.",
        f"n = {len(found)} sizes of a stampede, no randomness in them; source: the cache policy itself",
        "Two lines over the number of requests: without single flight each is computed, with it one is.", log_x=True)


@dataclass(frozen=True)
class Prefixes:
    """Which share of prompt tokens a prefix cache of so many blocks finds, least recently used first out."""

    source: str
    origin: Origin
    block_tok: int
    sizes: tuple[int, ...]
    hits: tuple[float, ...]
    ideal: float
    requests: int


def prefixes(requests: int, quick: bool) -> Prefixes:
    """From a public trace where WORKBENCH_DATA names its folder, else from a drawn workload with shared prefixes."""
    within("requests", requests, 100, 100_000)
    requests = min(requests, 800) if quick else requests
    folder = public_data()
    if folder is not None and (folder / TRACE).is_file():
        trace = read_jsonl(folder / TRACE).first(requests)
        assert trace.prefix_ids is not None
        ids, prompt_tok = list(trace.prefix_ids), [int(tok) for tok in trace.prompt_tok]
        source, block = "Mooncake's trace of a chat service", BLOCK_TOK
        origin: Origin = "imported"
    else:
        spec = WorkloadSpec.model_validate({
            "requests": requests, "arrivals": {"kind": "poisson", "rate_per_s": 2.0},
            "prompt_tok": {"kind": "lognormal", "p50_tok": 3000, "p95_tok": 12000, "max_tok": 30000},
            "output_tok": {"kind": "fixed", "tok": 1},
            "prefix": {"groups": 200, "tok": 2048, "block_tok": 512, "share_frac": 0.8, "skew": 1.0}})
        plans = draw(spec, SEED)
        ids, prompt_tok = [plan.prefix_ids or () for plan in plans], [plan.asked_prompt_tok for plan in plans]
        source, origin, block = f"a drawn workload (no public trace is here; seed {SEED})", "simulated", 512
    sizes = SIZES[::3] if quick else SIZES
    hits = tuple(_lru_hit_frac(ids, prompt_tok, block, size) for size in sizes)
    return Prefixes(source, origin, block, sizes, hits, _lru_hit_frac(ids, prompt_tok, block, 10**9), len(ids))


def _lru_hit_frac(ids: Sequence[Sequence[int]], prompt_tok: Sequence[int], block_tok: int, size: int) -> float:
    """Only an unbroken run of blocks from the beginning counts: the rest must be computed anyhow."""
    kept: OrderedDict[int, None] = OrderedDict()
    found_tok = 0
    for blocks, tok in zip(ids, prompt_tok, strict=True):
        hit = next((i for i, block in enumerate(blocks) if block not in kept), len(blocks))
        found_tok += min(hit * block_tok, tok)
        for block in reversed(blocks):  # the end of a prefix goes first
            kept[block] = None
            kept.move_to_end(block)
        while len(kept) > size:
            kept.popitem(last=False)
    return found_tok / sum(prompt_tok)


def prefix_chart(found: Prefixes) -> Chart:
    return Chart(
        "prefixes", "size of the prefix cache (blocks)", (Panel("share of prompt tokens found", (
            Series("least recently used", tuple(map(float, found.sizes)), found.hits, found.origin, "line", 0),),
            level=found.ideal, level_label="a cache without end"),),
        f"Prompt tokens that need no computing, by the size of the cache; blocks of {found.block_tok} tokens.",
        f"n = {found.requests} requests; source: {found.source}",
        "A line that rises with the size of the cache towards the share that a cache without end would find.",
        log_x=True)


def saving_table(hit_frac: float) -> Table:
    rows = tuple(
        (f"{cost:g}", *(percent(hit * (1 - cost)) for hit in (0.01, 0.1, hit_frac)), percent(cost / 1.0))
        for cost in COST_OF_HIT_FRAC)
    columns = ("cost of a hit (of a miss)", "saved at 1 % hits", "saved at 10 % hits", f"saved at {hit_frac:.0%} hits",
               "lost by a look that misses, at most")
    return Table(columns, rows, "Derived: hits x (1 - cost of a hit / cost of a miss). A cache that is asked in vain "
                 "costs the look; answers that were sampled, used tools or depend on the time must not be kept at all.")


def numbers(kept: Kept, found: Prefixes) -> Results:
    return Results((
        *(Result(f"hit_frac_ttl_{ttl:g}_s", row.mean, "", "simulated", row.n, row.low, row.high)
          for ttl, row in zip(kept.ttls_s, kept.hits, strict=True)),
        Result("prefix_hit_frac_endless", found.ideal, "", found.origin, found.requests),
        *(Result(f"prefix_hit_frac_{size}_blocks", hit, "", found.origin, found.requests)
          for size, hit in zip(found.sizes, found.hits, strict=True)),
    ))


def answer(kept: Kept, found: Prefixes) -> Prose:
    first, last = kept.hits[0], kept.hits[-1]
    half = next((size for size, hit in zip(found.sizes, found.hits, strict=True) if hit >= 0.9 * found.ideal), None)
    room = f"{half:,} blocks find nine tenths of that" if half else "none of the sizes shown finds nine tenths of that"
    return Prose(
        f"Keeping answers {kept.ttls_s[-1] / kept.ttls_s[0]:g} times as long raises hits from {percent(first.mean)} "
        f"({number(100 * first.low)} to {number(100 * first.high)}) to {percent(last.mean)} ({number(100 * last.low)} "
        f"to {number(100 * last.high)}); of the prompt tokens in {found.source} {percent(found.ideal)} could be found "
        f"in a prefix cache without end, and {room}."
    )
