"""An engine of ours that runs: where to send, and what its runs say of where they come from."""

from typing import Any

from engines.running import Running, facts_as_dict
from workbench.bench.target import Target
from workbench.models.documents import SPECIAL_TOKENS
from workbench.models.shipped import ModelFile
from workbench.models.tokenizer import load
from workbench.runlog.provenance import Provenance, collect


def target_of(running: Running, model: ModelFile | None, timeout_s: float) -> Target:
    """Where to send. Every token shall be a chunk that can be timed: the server shows no control tokens, so the
    model may not choose them; and the prompt cache stays out of it."""
    body: dict[str, Any] = {"cache_prompt": False}
    if model is not None and model.tokenizer_path is not None:
        vocabulary = load(model.tokenizer_path)
        hidden = [number for token in SPECIAL_TOKENS if (number := vocabulary.id_of(token)) is not None]
        body["logit_bias"] = [[number, False] for number in hidden]
    return Target(
        url=running.url, model=running.model_name, api_key=running.api_key, timeout_s=timeout_s, extra_body=body,
        ignore_eos=True,
    )


def provenance_of(running: Running, model: ModelFile | None) -> Provenance:
    """Engine, facts as asked and seen, model; the caller adds workload and seeds."""
    kv = running.facts.get("kv_type")
    return collect(
        "real", engine=running.engine, engine_facts=facts_as_dict(running.facts),
        model=model.name if model else running.model_name, quant=model.quant if model else "",
        kv_type=str((kv.seen or kv.asked or "") if kv else ""), weights_id=model.weights_id if model else "",
        grown_from=(model.grown_from or "") if model else "",
    )
