"""What vLLM says about itself: /metrics and /v1/models where it can, else the lines it writes when it starts."""

import re
from typing import Any

from engines.record import Look, Seen

LOG, METRICS, MODELS = "log at start", "/metrics", "/v1/models"
_CACHE = re.compile(r"^vllm:cache_config_info\{(.*?)\}", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_CONFIG = re.compile(r"Initializing a V1 LLM engine \(v([^)]+)\) with config: (.*)")
_CHUNKED = re.compile(r"Chunked prefill is (enabled|disabled)(?: with max_num_batched_tokens=(\d+))?")
_KV_TOK = re.compile(r"KV cache size: ([\d,]+) tokens")
_ATTENTION = re.compile(r"Using (\w+) (?:attention )?backend")
_ARGS = re.compile(r"non-default args: (\{.*\})")
_PAIRS = {  # our name -> its name in the configuration line
    "tp": "tensor_parallel_size", "pp": "pipeline_parallel_size", "dp": "data_parallel_size",
    "quant": "quantization", "dtype": "dtype", "kv_type": "kv_cache_dtype", "eager": "enforce_eager",
    "device": "device_config", "load_format": "load_format",
}


def see(look: Look) -> Seen:
    seen = _from_log(look.log)
    seen |= _from_metrics(look.get_text("/metrics") or "")
    version = look.get("/version")
    if isinstance(version, dict) and version.get("version"):
        seen["version"] = (version["version"], "/version")
    models = look.get("/v1/models")
    if isinstance(models, dict) and isinstance(models.get("data"), list):
        found = [entry.get("max_model_len") for entry in models["data"] if isinstance(entry, dict)]
        if found and isinstance(found[0], int):
            seen["ctx_tok"] = (found[0], MODELS)
    return seen


def _from_log(text: str) -> dict[str, tuple[Any, str]]:
    found: dict[str, Any] = {}
    if hit := _CONFIG.search(text):
        found["version"] = hit[1]
        pairs = dict(re.findall(r"(\w+)=(\w+\([^()]*\)|'[^']*'|[^,]*)", hit[2]))
        found |= {ours: _value(pairs[theirs]) for ours, theirs in _PAIRS.items() if theirs in pairs}
        if "speculative_config" in pairs:
            found["speculative"] = _value(pairs["speculative_config"])
        # it says None: told, and none; a fact that is null would be one it does not tell
        found |= {name: "none" for name in ("quant", "speculative") if name in found and found[name] is None}
    if hit := _CHUNKED.search(text):
        found["chunked_prefill"] = hit[1] == "enabled"
        if hit[2]:
            found["max_batch_tok"] = int(hit[2])
    if hit := _KV_TOK.search(text):
        found["kv_tok"] = int(hit[1].replace(",", ""))
    if hit := _ATTENTION.search(text):
        found["attention"] = hit[1]
    if (hit := _ARGS.search(text)) and (size := re.search(r"'max_num_seqs': (\d+)", hit[1])):
        found["max_seqs"] = int(size[1])  # what it understood of its arguments
    return {name: (value, LOG) for name, value in found.items()}


def _from_metrics(text: str) -> dict[str, tuple[Any, str]]:
    """The labels of vllm:cache_config_info are the KV cache as it is."""
    hit = _CACHE.search(text)
    if not hit:
        return {}
    labels = dict(_LABEL.findall(hit[1]))
    names = {"block_tok": "block_size", "kv_blocks": "num_gpu_blocks", "prefix_caching": "enable_prefix_caching",
             "gpu_memory_frac": "gpu_memory_utilization", "kv_type": "cache_dtype"}
    return {ours: (_value(labels[theirs]), METRICS) for ours, theirs in names.items() if theirs in labels}


def _value(text: str) -> Any:
    """`None`, `True`, 16, 0.9, torch.float16 and 'auto' as they are meant."""
    plain = text.strip().strip("'").removeprefix("torch.")
    known = {"None": None, "True": True, "False": False}
    if plain in known:
        return known[plain]
    for kind in (int, float):
        try:
            return kind(plain)
        except ValueError:
            continue
    return plain
