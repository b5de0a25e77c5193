"""Appendix C's troubles: each is made and unmade by the simulator, and seen in one figure of a run log."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.plane.run import PlaneResult
from workbench.chapters import engine_runs, playing
from workbench.chapters.ch09 import answered_of_meant
from workbench.chapters.engine_runs import Figure, Variant, of

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]  # ill and well, a value a seed

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
    """`made`: what makes it. `pair`: its figure under the given seeds, without and with the remedy."""

    symptom: str
    seen: str
    cause: str
    remedy: str
    made: str
    unit: str
    pair: Callable[[Sequence[int]], Pair]


def _engine(figure: Figure, ill: Variant, well: Variant) -> Callable[[Sequence[int]], Pair]:
    """One engine, or several, under other rules."""
    def pair(seeds: Sequence[int]) -> Pair:
        runs = engine_runs.run(CHAT, {"ill": ill, "well": well}, seeds).found
        return np.array([figure(run) for run in runs["ill"]]), np.array([figure(run) for run in runs["well"]])
    return pair


def _plane(figure: playing.Figure, name: str, ill: Callable[[str], str], well: Callable[[str], str] = str,
           ) -> Callable[[Sequence[int]], Pair]:
    """A shipped scenario without its remedy, and with it (by default: as it is)."""
    def pair(seeds: Sequence[int]) -> Pair:
        text = playing.shipped(name)
        runs = playing.play({"ill": ill(text), "well": well(text)}, seeds).runs
        return np.array([figure(run) for run in runs["ill"]]), np.array([figure(run) for run in runs["well"]])
    return pair


def unanswered(run: PlaneResult) -> float:
    """Of what people wanted, however often they asked."""
    return 1.0 - answered_of_meant(run)


TROUBLES: Mapping[str, Trouble] = {
    "queue": Trouble(
        "the first token comes later and later", "ttft_s grows with sent_ns while tpot_s does not; MSER finds no end "
        "of the warm-up", "more arrives than the fleet completes", "more replicas, or a bound on the line",
        "60 requests/s for one replica", "s", _engine(
            of("ttft_s", 0.95), Variant(workload={"arrivals": FAST, "requests": 400}),
            Variant(workload={"arrivals": FAST, "requests": 400}, replicas=4))),
    "batch": Trouble(
        "answers crawl, though they begin at once", "tpot_s is high and ttft_s low; many sequences in an iteration",
        "the batch is larger than the promise allows", "a smaller max_num_seqs, and replicas for the rest",
        "max_num_seqs = 256", "s", _engine(
            of("tpot_s"), Variant({"max_num_seqs": 256}, {"arrivals": FAST}),
            Variant({"max_num_seqs": 16}, {"arrivals": FAST}, replicas=4))),
    "stall": Trouble(
        "answers stop in the middle", "stall_s is many times tpot_s", "a long prompt is computed whole while everybody "
        "waits", "chunked prefill with a small token budget", "chunked_prefill = false, long prompts", "s", _engine(
            of("stall_s", 0.95),
            Variant({"chunked_prefill": False, "max_num_batched_tokens": 16384}, {"prompt_tok": LONG}),
            Variant({"max_num_batched_tokens": 512}, {"prompt_tok": LONG}))),
    "memory": Trouble(
        "answers stop, go back and begin again", "preemptions is above zero", "the KV cache is full: sequences are "
        "thrown out and computed again", "fewer sequences at once, a smaller KV type, or more memory",
        "kv_blocks = 1500", "preemptions", _engine(
            engine_runs.preemptions, Variant({"kv_blocks": 1500}, {"arrivals": FAST}),
            Variant({"kv_blocks": 20000}, {"arrivals": FAST}))),
    "cache": Trouble(
        "the same beginning is computed again and again", "cached_tok is zero in every row", "prefix caching is off, "
        "or something that differs comes first in the prompt", "turn it on, and put what is shared first",
        "prefix_caching = false", "share computed", _engine(
            lambda run: 1.0 - engine_runs.cached_frac(run), Variant({"prefix_caching": False}, {"prefix": SHARED}),
            Variant({"prefix_caching": True}, {"prefix": SHARED}))),
    "dead": Trouble(
        "a part of the requests fails at once", "outcome is error, and attempts above one; the same replica in all of "
        "them", "one replica is dead, looks idle, and is sent most", "a breaker, and a second attempt elsewhere",
        "gpu_failure.toml without [control.breaker]", "share failed", _plane(
            playing.share(("error",)), "gpu_failure", lambda text: playing.without(text, "control.breaker"))),
    "network": Trouble(
        "some requests neither fail nor answer", "first_token_ns is empty, or minutes after sent_ns; the others are as "
        "always", "a node cannot be reached, and nobody says so", "heartbeats, and a lease that ends after seconds",
        "network_partition.toml, dead after 60 s in place of 4", "s, the longest TTFT", _plane(
            playing.ttft_s(1.0), "network_partition",
            lambda text: playing.changed(text, ("dead_after_ns = 4_000_000_000", "dead_after_ns = 60_000_000_000")))),
    "storm": Trouble(
        "overloaded long after the crowd has gone", "attempts is many, outcome timeout; replicas are busy and nothing "
        "is answered", "impatient clients ask again, and what is computed is for nobody", "a short line, and clients "
        "that wait longer each time", "retry_storm.toml without [control.queue]", "share never answered", _plane(
            unanswered, "retry_storm",
            lambda text: playing.without(text, "control.queue"),
            lambda text: playing.changed(text, ("wait_s = 0.05", "wait_s = 1.0, factor = 2.0, spread_frac = 1.0")))),
    "neighbour": Trouble(
        "one tenant is slow, and did nothing", "ttft_s of one tenant follows the number of another's rows", "one line "
        "for all of them", "a fair order, or a limit for each", "noisy_neighbour.toml with fifo and no limits", "s",
        _plane(playing.ttft_s(0.95, "quiet"), "noisy_neighbour", lambda text: playing.changed(
            playing.without(text, "control.limits"), ('scheduling = "wfq"', 'scheduling = "fifo"')))),
}
