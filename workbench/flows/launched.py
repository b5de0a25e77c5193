"""An engine of ours that runs: where to send, and what its runs say of where they come from."""

from typing import Any

from engines.running import Running, facts_as_dict
from workbench.bench.target import Target
from workbench.models.documents import SPECIAL_TOKENS
from workbench.models.shipped import ModelFile
from workbench.models.tokenizer import Vocabulary, load
from workbench.runlog.provenance import Provenance, collect


def target_of(running: Running, model: ModelFile | None, timeout_s: float) -> Target:
    """Where to send. Every token shall be a chunk that can be timed: the server shows no control tokens, so the
    model may not choose them; and the prompt cache stays out of it, unless it was asked for."""
    rules = running.record.requests
    body: dict[str, Any] = dict(rules.extra)
    cached = running.facts.get("prefix_caching")
    if "cache_prompt" in body and cached is not None and cached.asked:
        body["cache_prompt"] = True
    if rules.logit_bias and model is not None and model.tokenizer_path is not None:
        body["logit_bias"] = hidden_tokens(load(model.tokenizer_path))
    if not rules.ignore_eos:
        body |= rules.no_eos
    return Target(
        url=running.url, model=running.model_name, api_key=running.api_key, timeout_s=timeout_s, extra_body=body,
        ignore_eos=rules.ignore_eos,
    )


def hidden_tokens(vocabulary: Vocabulary) -> list[list[Any]]:
    """llama.cpp's way of saying that a token is never chosen."""
    return [[number, False] for token in SPECIAL_TOKENS if (number := vocabulary.id_of(token)) is not None]


def provenance_of(running: Running, model: ModelFile | None) -> Provenance:
    """Engine, facts as asked and seen, model; the caller adds workload and seeds."""
    kv = running.facts.get("kv_type")
    return collect(
        "real", engine=running.engine, engine_facts=facts_as_dict(running.facts),
        model=model.name if model else running.model_name, quant=model.quant if model else "",
        kv_type=str((kv.seen or kv.asked or "") if kv else ""), weights_id=model.weights_id if model else "",
        grown_from=(model.grown_from or "") if model else "",
    )
