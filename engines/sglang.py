"""SGLang: `python -m sglang.launch_server`, for GPUs. Flags and answers as in sglang 0.5.23."""

import json
import os
from typing import Any, Literal

from pydantic import Field

from engines.common import Speculative, refuses, takes
from engines.own import Environment
from engines.record import Command, Engine, Look, Requests, Seen, Start
from workbench.config import Settings

WHERE = "/server_info"
_TOLD = {  # our name -> its name at /server_info
    "tp": "tp_size", "pp": "pp_size", "dp": "dp_size", "nodes": "nnodes", "quant": "quantization",
    "kv_type": "kv_cache_dtype", "max_seqs": "max_running_requests", "max_batch_tok": "max_prefill_tokens",
    "chunk_tok": "chunked_prefill_size", "ctx_tok": "context_length", "attention": "attention_backend",
    "gpu_memory_frac": "mem_fraction_static", "offload_gib": "cpu_offload_gb", "block_tok": "page_size",
    "speculative": "speculative_algorithm", "dtype": "dtype", "version": "version",
}


class SglangOptions(Settings):
    """Options of the SGLang server; None is its own default."""

    dtype: Literal["auto", "float16", "bfloat16"] = Field("auto", description="type of the weights in use")
    tp: int = Field(1, ge=1, le=64, description="tensor parallel")
    pp: int = Field(1, ge=1, le=64, description="pipeline parallel")
    dp: int = Field(1, ge=1, le=64, description="data parallel")
    quant: str | None = Field(None, description="quantisation method", pattern=r"^[\w-]+$")
    kv_type: Literal["auto", "fp8_e4m3", "fp8_e5m2", "bf16"] = Field("auto", description="type of the KV cache")
    prefix_caching: bool = Field(False, description="the radix cache; off, so that no run warms the next")
    chunked_prefill: bool | None = Field(None, description="on by default")
    chunk_tok: int | None = Field(None, ge=1, description="tokens of one piece of a long prompt")
    max_seqs: int | None = Field(None, ge=1, description="max_running_requests")
    max_batch_tok: int | None = Field(None, ge=1, description="max_prefill_tokens")
    ctx_tok: int | None = Field(None, ge=8, description="context_length")
    gpu_memory_frac: float | None = Field(None, gt=0, lt=1, description="mem_fraction_static")
    offload_gib: int | None = Field(None, ge=0, description="cpu_offload_gb")
    speculative: Speculative | None = Field(None, description="n-gram, or a draft model as standalone")
    attention: str | None = Field(None, description="such as flashinfer, fa3, triton", pattern=r"^\w+$")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")


def _command(start: Start) -> Command:
    """The key goes by a file that only we can read: a command line is everybody's."""
    asked = start.options
    given: dict[str, Any] = {
        "model-path": start.model, "served-model-name": start.model_name, "host": start.host, "port": start.port,
        "api-key": start.api_key, "enable-metrics": True, "dtype": asked.dtype, "tensor-parallel-size": asked.tp,
        "pipeline-parallel-size": asked.pp, "data-parallel-size": asked.dp, "kv-cache-dtype": asked.kv_type,
        "disable-radix-cache": not asked.prefix_caching, "quantization": asked.quant,
        "chunked-prefill-size": -1 if asked.chunked_prefill is False else asked.chunk_tok,
        "max-running-requests": asked.max_seqs, "max-prefill-tokens": asked.max_batch_tok,
        "context-length": asked.ctx_tok, "mem-fraction-static": asked.gpu_memory_frac,
        "cpu-offload-gb": asked.offload_gib, "attention-backend": asked.attention, **_speculative(asked.speculative),
    }
    path = start.private / "sglang.yaml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:  # JSON is YAML
        json.dump({key: value for key, value in given.items() if value is not None and value is not False}, handle)
    return Command(("-P", "-m", "sglang.launch_server", "--config", str(path)))


def _speculative(asked: Speculative | None) -> dict[str, Any]:
    if asked is None:
        return {}
    if asked.model is None:
        return {"speculative-algorithm": "NGRAM", "speculative-num-draft-tokens": asked.tokens}
    return {"speculative-algorithm": "STANDALONE", "speculative-draft-model-path": str(asked.model),
            "speculative-num-draft-tokens": asked.tokens}


def see(look: Look) -> Seen:
    info = look.get(WHERE) or look.get("/get_server_info")  # the second until 0.5
    if not isinstance(info, dict):
        return {}
    seen = {ours: (info[theirs], WHERE) for ours, theirs in _TOLD.items() if theirs in info}
    if "disable_radix_cache" in info:
        seen["prefix_caching"] = (not info["disable_radix_cache"], WHERE)
    if isinstance(info.get("chunked_prefill_size"), int):
        seen["chunked_prefill"] = (info["chunked_prefill_size"] > 0, WHERE)
    if "max_total_num_tokens" in info:
        seen["kv_tok"] = (info["max_total_num_tokens"], WHERE)
    return seen


ENGINE = Engine(
    name="sglang", title="SGLang", place="own environment", distribution="sglang",
    get="workbench engines install sglang", formats=("safetensors",), quants=("BF16", "FP8", "GPTQ", "AWQ", "W8A8"),
    options=SglangOptions,
    common=takes("tp", "pp", "dp", "quant", "kv_type", "prefix_caching", "chunked_prefill", "max_seqs",
                 "max_batch_tok", "ctx_tok", "speculative", "attention")
    | refuses(
        nodes="start it on each machine yourself and give the url of the first",
        gpu_layers="it places whole weights; give offload_gib",
        threads="the GPU computes",
    ),
    environment=Environment("sglang.txt", ("3.12",), gpu="an NVIDIA GPU"),
    command=_command, start_timeout_s=900.0,
    metrics={
        "running": "sglang:num_running_reqs", "waiting": "sglang:num_queue_reqs", "kv_used_frac": "sglang:token_usage",
        "preemptions": "sglang:num_retracted_requests_total", "prompt_tok": "sglang:prompt_tokens_total",
        "generated_tok": "sglang:generation_tokens_total", "prefix_hit_frac": "sglang:cache_hit_rate",
    },
    see=see, requests=Requests(logit_bias=False),
    tested="not run here: there is no GPU; its wire format is",
    note="an API key given to it is written into its configuration file, never its command line",
)
