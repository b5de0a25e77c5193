"""How a measured vLLM was started and spread: from its meta.json, from config.json beside it, else vLLM's defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import UsageError

ASYNC_SINCE = (0, 14)  # vLLM schedules a step ahead by default from this version on
KV_NAMES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "fp8_inc": "fp8"}  # vLLM's, as memory.py has them
MOST_GRAPH_TOK = 512  # vLLM captures graphs up to min(2 max_num_seqs, this) tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """How the engine was started. `ranks`: data-parallel engines that step together; `replicas`: independent ones."""

    tp: int = 1
    ranks: int = 1
    replicas: int = 1
    expert_parallel: bool = False
    max_num_seqs: int = 128
    max_num_batched_tokens: int = 2048
    max_model_len_tok: int | None = None
    block_tok: int = 16
    kv_type: str = "auto"
    prefix_caching: bool = True
    async_scheduling: bool = True
    graph_tok: int = 256
    version: str = ""


def read_limits(config: Mapping[str, Any], meta: Mapping[str, Any], asked: Mapping[str, Any], *, moe: bool) -> Limits:
    """From meta.json's `engine_kwargs`, what the engine resolved, and config.json's instances; vLLM's defaults else."""
    kwargs = inner(meta, "engine_kwargs")
    scheduler, compiled = _resolved(meta, "scheduler_config"), _resolved(meta, "compilation_config")
    cache = _resolved(meta, "cache_config")
    parts = instances(config)
    roles = {str(part["pd_type"]) for part in parts if part.get("pd_type")}
    if roles:
        raise UsageError(f"config.json: pd_type {', '.join(sorted(roles))}: disaggregated runs are not validated here")
    stages = _first(kwargs.get("pipeline_parallel_size"), *[part.get("pp_size") for part in parts[:1]], 1)
    if stages > 1:
        raise UsageError(f"pipeline parallelism {stages}: kernel tables say nothing of it; validate a run without")
    tp, ranks, replicas, experts = _spread(parts, kwargs, asked, moe=moe)
    seqs = _first(scheduler.get("max_num_seqs"), kwargs.get("max_num_seqs"), asked.get("max_num_seqs"), 128)
    version = str(meta.get("vllm_version") or asked.get("version") or "")
    kv_type = str(kwargs.get("kv_cache_dtype") or "auto")
    return _checked(Limits(
        tp=tp, ranks=ranks, replicas=replicas, expert_parallel=experts, max_num_seqs=seqs,
        max_num_batched_tokens=_first(scheduler.get("max_num_batched_tokens"), kwargs.get("max_num_batched_tokens"),
                                      asked.get("max_num_batched_tokens"), 2048),
        max_model_len_tok=_first(kwargs.get("max_model_len"), _resolved(meta, "model_config").get("max_model_len"), 0)
        or None,
        block_tok=_first(inner(meta, "kv_cache").get("block_size"), cache.get("block_size"), kwargs.get("block_size"),
                         16),
        kv_type=KV_NAMES.get(kv_type, kv_type),
        prefix_caching=_flag(cache.get("enable_prefix_caching"), kwargs.get("enable_prefix_caching"), True),
        async_scheduling=_flag(scheduler.get("async_scheduling"), kwargs.get("async_scheduling"),
                               _version(version) >= ASYNC_SINCE),
        graph_tok=0 if kwargs.get("enforce_eager") else _first(compiled.get("max_cudagraph_capture_size"),
                                                               min(2 * seqs, MOST_GRAPH_TOK)),
        version=version,
    ))


def _spread(
    parts: Sequence[Mapping[str, Any]], kwargs: Mapping[str, Any], asked: Mapping[str, Any], *, moe: bool
) -> tuple[int, int, int, bool]:
    """(tensor parallelism, lock-step ranks, replicas, whole experts dealt out).

    Data-parallel engines of a mixture step together; those of a dense model, and instances of config.json that name
    no common `dp_group`, go each its own way.
    """
    tp = _first(kwargs.get("tensor_parallel_size"), *[part.get("tp_size") for part in parts[:1]], asked.get("tp"), 1)
    stated = _first(kwargs.get("data_parallel_size"), 1)
    dp = max(stated, len(parts))
    together = moe and dp > 1 and (stated > 1 or {part.get("dp_group") for part in parts} - {None} != set())
    dealt = bool(kwargs.get("enable_expert_parallel")) or any(_first(part.get("ep_size"), 1) > 1 for part in parts)
    return tp, dp if together else 1, 1 if together else dp, moe and dealt


def instances(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every instance of every node of config.json."""
    nodes = config.get("nodes")
    found = [part for node in nodes if isinstance(node, dict) for part in node.get("instances") or ()
             ] if isinstance(nodes, list) else []
    return [part for part in found if isinstance(part, dict)]


def inner(meta: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = meta.get(key)
    return found if isinstance(found, dict) else {}


def _resolved(meta: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return inner(inner(meta, "resolved_config"), key)


def _first(*values: Any) -> int:
    """The first that is stated as a whole number, also in quotes."""
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isdecimal():
            return int(value)
    return 0


def _checked(limits: Limits) -> Limits:
    for name in ("tp", "max_num_seqs", "max_num_batched_tokens", "block_tok"):
        if (value := getattr(limits, name)) < 1:
            raise UsageError(f"meta.json, config.json: {name} is {value}; it must be at least 1")
    return limits


def _flag(*values: Any) -> bool:
    return next((value for value in values if isinstance(value, bool)), False)


def _version(text: str) -> tuple[int, ...]:
    """(0, 19) of "0.19.0"; an unknown one counts as new."""
    parts = text.split(".")[:2]
    return tuple(int(part) for part in parts) if len(parts) == 2 and all(part.isdigit() for part in parts) else (99,)
