"""When a jump is exact, and what runs instead where it is not."""

from sims.rules import DisaggregatedRules, LlamaCppRules, Rules


def unmet(rules: Rules) -> str | None:
    """Which premise these rules break for the whole run, or None. What breaks it only now and then (a KV cache that
    runs short) is handled on the spot, one iteration at a time."""
    if isinstance(rules, LlamaCppRules):
        return "llama.cpp fills a batch by slot id, and its passes depend on which slots run"
    if isinstance(rules, DisaggregatedRules):
        return "two pools and the links between them decide when a request can join"
    broken = {
        "order": rules.order != "fcfs", "batching": rules.batching != "continuous",
        "kv_reserve": rules.kv_reserve != "paged", "draft_tok": rules.draft_tok > 0, "ranks": rules.ranks > 1,
        "host_blocks": rules.host_blocks > 0, "chunked_prefill": not rules.chunked_prefill,
        "async_scheduling": rules.async_scheduling,
        "max_num_batched_tokens below max_num_seqs": rules.max_num_batched_tokens < rules.max_num_seqs,
    }
    found = [name for name, is_broken in broken.items() if is_broken]
    return f"not every running request gains one token an iteration: {', '.join(found)}" if found else None
