"""Ollama: a service that runs already; its OpenAI API carries the load, its own API tells the facts."""

from typing import Any

from pydantic import Field

from engines.common import refuses
from engines.openai.options import OpenAiOptions
from engines.record import Engine, Look, Requests, Seen

TAGS, LOADED = "/api/tags", "/api/ps"
_SERVER = "the server decides, by its environment ({}); set it there"


class OllamaOptions(OpenAiOptions):
    """Where Ollama is; it asks for no key."""

    url: str = Field("http://127.0.0.1:11434", description="where Ollama listens")


def see(look: Look) -> Seen:
    """Version, and of the model that is loaded: quantisation, context, and how much of it lies on the GPU."""
    seen: dict[str, tuple[Any, str]] = {}
    version = look.get("/api/version")
    if isinstance(version, dict) and version.get("version"):
        seen["version"] = (version["version"], "/api/version")
    for where in (TAGS, LOADED):
        answer = look.get(where)
        models = answer.get("models") if isinstance(answer, dict) else None
        if isinstance(models, list) and len(models) == 1 and isinstance(models[0], dict):
            seen |= _of_model(models[0], where)
    return seen


def _of_model(model: dict[str, Any], where: str) -> dict[str, tuple[Any, str]]:
    details = model.get("details")
    found: dict[str, tuple[Any, str]] = {}
    if isinstance(details, dict) and details.get("quantization_level"):
        found["quant"] = (details["quantization_level"], where)
    if isinstance(model.get("context_length"), int):
        found["ctx_tok"] = (model["context_length"], where)
    if isinstance(model.get("size"), int) and isinstance(model.get("size_vram"), int) and model["size"] > 0:
        found["on_gpu_frac"] = (model["size_vram"] / model["size"], where)
    return found


ENGINE = Engine(
    name="ollama", title="Ollama", place="endpoint", get="https://ollama.com/download (no Python package)",
    formats=("gguf",), quants=("F16", "Q8_0", "Q4_0", "K-quants"), health_path="/api/version", options=OllamaOptions,
    needs_model=False,
    common=refuses(
        tp=_SERVER.format("CUDA_VISIBLE_DEVICES"), pp="it spreads layers over GPUs by itself", dp="one copy of a model",
        nodes="one machine", quant="the model's tag names it, such as llama3:8b-q4_K_M",
        kv_type=_SERVER.format("OLLAMA_KV_CACHE_TYPE"), prefix_caching="it always keeps a slot's last prompt",
        chunked_prefill="always on, in pieces of num_batch", max_seqs=_SERVER.format("OLLAMA_NUM_PARALLEL"),
        max_batch_tok="num_batch of the model file", ctx_tok=_SERVER.format("OLLAMA_CONTEXT_LENGTH"),
        gpu_layers="num_gpu of the model file", speculative="it offers none",
        attention=_SERVER.format("OLLAMA_FLASH_ATTENTION"), threads="num_thread of the model file",
    ),
    see=see, requests=Requests(ids=False, ignore_eos=False, keyed=False),
    tested="not run here: no registry that was reached has its server; its wire format is",
    note="`ollama serve` speaks the OpenAI API at port 11434; it has no /metrics",
)
