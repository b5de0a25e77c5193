"""Meeting an endpoint: does it answer, what does it serve, and what does it tell about itself."""

from collections.abc import Mapping
from typing import Any

from engines.launch import facts_of
from engines.openai.options import OpenAiOptions
from engines.record import Engine
from engines.running import HTTP_TIMEOUT_S, Fact, Running
from workbench.config import validate
from workbench.errors import Failure, UsageError

MODELS = "/v1/models"
UNTOLD = ("slots", "n_batch", "n_ubatch", "kv_type", "kv_unified", "threads")  # no standard way to ask


def meet(record: Engine, asked: Mapping[str, Any], neutral: Mapping[str, Any]) -> Running:
    """A Running for an endpoint that answers /v1/models; Failure in one line for one that does not.

    For an engine with options of its own, what else was asked is recorded beside what the endpoint tells.
    """
    where, plain = f"options of {record.name}", issubclass(record.options, OpenAiOptions)
    kind = record.options if plain else OpenAiOptions
    ours = {key: value for key, value in asked.items() if plain or key in OpenAiOptions.model_fields}
    settings = validate(kind, ours, where)
    assert isinstance(settings, OpenAiOptions)
    others = {key: value for key, value in asked.items() if key not in ours}
    given = validate(record.options, others, where).model_dump(include=set(others)) if others else {}
    return connect(record, settings, given | dict(neutral))


def connect(record: Engine, settings: OpenAiOptions, asked: Mapping[str, Any] | None = None) -> Running:
    key = settings.key()
    served = _models(settings.url, key)
    chosen = _choose(served, settings.model)
    running = Running(record.name, settings.url, str(chosen["id"]), None, record, api_key=key)
    context = _context(chosen)
    told = facts_of(asked or {}, record, running)
    running.facts = {
        "model": Fact(settings.model, chosen["id"], MODELS),
        "ctx_per_slot_tok": Fact(None, context, MODELS if context is not None else None),
        "served_by": Fact(None, chosen.get("owned_by"), MODELS if chosen.get("owned_by") else None),
        **{name: Fact(None, None, None) for name in UNTOLD}, **told,
    }
    version = told.get("version")
    running.version = str(version.seen) if version is not None and version.seen is not None else None
    return running


def _models(url: str, key: str | None) -> list[dict[str, Any]]:
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(url + MODELS, headers=headers, timeout=HTTP_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise Failure(f"{url}: no answer: {str(error) or type(error).__name__}; is it running?") from None
    if answer.status_code in (401, 403):
        raise Failure(f"{url}{MODELS}: HTTP {answer.status_code}: the key is missing or wrong; give api_key_env")
    if answer.status_code != 200:
        raise Failure(f"{url}{MODELS}: HTTP {answer.status_code}; is this an OpenAI-compatible endpoint?")
    try:
        served = [entry for entry in answer.json()["data"] if isinstance(entry["id"], str)]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{url}{MODELS}: not an OpenAI model list; is this an OpenAI-compatible endpoint?") from None
    if not served:
        raise Failure(f"{url}{MODELS}: it serves no model")
    return served


def _choose(served: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    names = [str(entry["id"]) for entry in served]
    if wanted is None:
        if len(served) > 1:
            raise UsageError(f"the endpoint serves {len(served)} models; name one: {', '.join(names[:8])}")
        return served[0]
    for entry in served:
        if wanted == entry["id"] or wanted in (entry.get("aliases") or ()):
            return {**entry, "id": wanted}
    raise UsageError(f"model {wanted!r} is not served there; it has: {', '.join(names[:8])}")


def _context(entry: dict[str, Any]) -> int | None:
    """vLLM and SGLang say max_model_len, llama.cpp meta.n_ctx; others nothing."""
    meta = entry.get("meta")
    for value in (entry.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None):
        if isinstance(value, int):
            return value
    return None
