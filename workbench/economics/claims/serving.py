"""What serving gains from what: chapters 8, 9, 10 and 15, by arithmetic or from profiles that ship."""

from collections.abc import Sequence

from workbench.economics.claims.found import Found, judged
from workbench.paths import datasets
from workbench.profile.batch import Batch
from workbench.profile.profile import Profile, read

CONTEXT_TOK = 1024


def _shipped(name: str) -> Profile:
    return read(datasets() / "profiles" / "silicon" / f"{name}.json")


def _tok_per_s(profile: Profile, decodes: int) -> float:
    """Of all decodes together."""
    batch = Batch((), decodes, decodes * CONTEXT_TOK, CONTEXT_TOK, CONTEXT_TOK)
    return decodes * 1e9 / profile.iteration_ns(batch)


def cache_hit_is_a_saving() -> Found:
    """hit rate x (1 - cost of a hit / cost of a miss), for a hit that costs a fiftieth."""
    numbers = {f"saved_frac_at_{round(100 * rate)}_percent_hits": rate * (1 - 1 / 50) for rate in (0.02, 0.2, 0.64)}
    return Found("incomplete", numbers)


def queue_prevents_rejection() -> Found:
    """A fifth more than it can serve, for ten minutes at 10 requests/s of capacity: what the line becomes."""
    waiting = 0.2 * 10 * 600
    return judged({"waiting_after_10_min": waiting, "wait_s": waiting / 10}, holds=waiting == 0)


def batching_gain() -> Found:
    one = _shipped("llama-3.1-8b-h100-tp1-fp8")
    alone, many = _tok_per_s(one, 1), _tok_per_s(one, 64)
    return Found("missing", {"alone_tok_per_s": alone, "64_together_tok_per_s": many, "gain_times": many / alone})


def tensor_parallel_gain() -> Found:
    two, eight = (_shipped(f"llama-3.1-70b-h100-tp{tp}-fp8") for tp in (2, 8))
    few, many = _tok_per_s(two, 1), _tok_per_s(eight, 1)
    return Found("missing", {"tp2_tok_per_s": few, "tp8_tok_per_s": many,
                             "four_times_the_cards_gain_times": many / few})


def seventy_b_speed() -> Found:
    small, large = _shipped("llama-3.1-8b-h100-tp1-fp8"), _shipped("llama-3.1-70b-h100-tp4-fp8")
    return Found("missing", {"8b_tok_per_s_one_card": _tok_per_s(small, 1),
                             "70b_tok_per_s_four_cards": _tok_per_s(large, 1)})


def paging_gain() -> Found:
    """Requests that fit when each is held to its own length, and when each reserves the longest; lengths as in the
    examples here: 1,120 tokens on average, 7,500 at most."""
    shipped = _shipped("llama-3.1-8b-h100-tp1-fp8")
    tok = (shipped.kv_blocks or 0) * shipped.block_tok
    return Found("missing", {"paged": tok // 1120, "reserved": tok // 7500, "times": (tok // 1120) / (tok // 7500)})


def speculation_gain() -> Found:
    """Expected tokens of one step of the large model with four drafted ones: (1 - a^5) / (1 - a) for an acceptance of a
    (Leviathan et al., Fast Inference from Transformers via Speculative Decoding, arXiv 2211.17192, equation 1)."""
    rates = (0.5, 0.7, 0.9)
    return Found("missing", {f"tok_per_step_at_{round(100 * a)}_percent": (1 - a**5) / (1 - a) for a in rates})


def first_token() -> Found:
    """Kernels of one prompt of 1,024 tokens, alone: a bound, without the network and the engine's own work."""
    def prefill_s(name: str) -> float:
        return _shipped(name).iteration_ns(Batch(((CONTEXT_TOK, 0),), 0, 0, 0, 0)) / 1e9

    return Found("missing", {"8b_one_card_ms": 1e3 * prefill_s("llama-3.1-8b-h100-tp1-fp8"),
                             "70b_four_cards_ms": 1e3 * prefill_s("llama-3.1-70b-h100-tp4-fp8")})


def kept_hit_frac(shares: Sequence[float], rate_per_s: float, ttl_s: float) -> float:
    """Hits of a cache that only time empties: a question that comes at rate r is computed once, then hit r x TTL times
    on average before it expires."""
    return sum(p * (p * rate_per_s * ttl_s) / (1 + p * rate_per_s * ttl_s) for p in shares)


def hit_rate() -> Found:
    """500 questions of popularity 1 / rank, five requests a second."""
    weights = [1 / rank for rank in range(1, 501)]
    shares = [weight / sum(weights) for weight in weights]
    return Found("missing", {f"hit_frac_kept_{ttl:g}_s": kept_hit_frac(shares, 5.0, ttl) for ttl in (1.0, 60.0, 600.0)})
