"""NVIDIA TensorRT-LLM: `trtllm-serve`, for GPUs. Flags and answers as in its documentation (1.x, PyTorch backend)."""

import json
from typing import Any, Literal

from pydantic import Field

from engines.common import Refuses, Speculative, refuses, takes
from engines.own import Environment, folder
from engines.record import Command, Engine, Look, Requests, Seen, Start
from workbench.config import Settings


class TensorRtLlmOptions(Settings):
    """Options of trtllm-serve; None is its own default."""

    tp: int = Field(1, ge=1, le=64, description="tp_size")
    pp: int = Field(1, ge=1, le=64, description="pp_size")
    kv_type: Literal["auto", "fp8", "nvfp4"] = Field("auto", description="kv_cache_config.dtype")
    prefix_caching: bool = Field(False, description="kv_cache_config.enable_block_reuse; off: no run warms the next")
    chunked_prefill: bool | None = Field(None, description="enable_chunked_prefill")
    max_seqs: int | None = Field(None, ge=1, description="max_batch_size")
    max_batch_tok: int | None = Field(None, ge=1, description="max_num_tokens")
    ctx_tok: int | None = Field(None, ge=8, description="max_seq_len")
    gpu_memory_frac: float | None = Field(None, gt=0, lt=1, description="share of free GPU memory for the KV cache")
    speculative: Speculative | None = Field(None, description="n-gram, or a draft model")
    attention: Literal["TRTLLM", "FLASHINFER", "VANILLA"] | None = Field(None, description="attn_backend")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")


def _command(start: Start) -> Command:
    """Some options have flags, the rest goes by a file (`--extra_llm_api_options`; JSON is YAML)."""
    asked = start.options
    more: dict[str, Any] = {
        "kv_cache_config": {"enable_block_reuse": asked.prefix_caching, "dtype": asked.kv_type},
        "enable_iter_perf_stats": True,  # without it /metrics is empty
    }
    if asked.chunked_prefill is not None:
        more["enable_chunked_prefill"] = asked.chunked_prefill
    if asked.attention is not None:
        more["attn_backend"] = asked.attention
    if asked.speculative is not None:
        more["speculative_config"] = _speculative(asked.speculative)
    path = start.private / "trtllm.yaml"
    path.write_text(json.dumps(more), encoding="utf-8")
    flags = {"--max_batch_size": asked.max_seqs, "--max_num_tokens": asked.max_batch_tok,
             "--max_seq_len": asked.ctx_tok, "--kv_cache_free_gpu_memory_fraction": asked.gpu_memory_frac}
    words = [start.model, "--backend", "pytorch", "--host", start.host, "--port", str(start.port),
             "--tp_size", str(asked.tp), "--pp_size", str(asked.pp), "--extra_llm_api_options", str(path)]
    words += [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]
    return Command(tuple(words), program=str(folder("tensorrt-llm") / "bin" / "trtllm-serve"))


def _speculative(asked: Speculative) -> dict[str, Any]:
    if asked.model is None:
        return {"decoding_type": "NGram", "max_draft_len": asked.tokens}
    return {"decoding_type": "DraftTarget", "max_draft_len": asked.tokens, "speculative_model_dir": str(asked.model)}


def see(look: Look) -> Seen:
    """/version, and the iteration statistics at /metrics: a JSON list, newest last, emptied by reading."""
    seen: dict[str, tuple[Any, str]] = {}
    version = look.get("/version")
    if isinstance(version, dict) and version.get("version"):
        seen["version"] = (version["version"], "/version")
    statistics = look.get("/metrics")
    if isinstance(statistics, list) and statistics and isinstance(statistics[-1], dict):
        newest = statistics[-1]
        if "maxNumActiveRequests" in newest:
            seen["max_seqs"] = (newest["maxNumActiveRequests"], "/metrics")
        blocks = newest.get("kvCacheStats")
        if isinstance(blocks, dict):
            seen |= {ours: (blocks[theirs], "/metrics")
                     for ours, theirs in {"kv_blocks": "maxNumBlocks", "block_tok": "tokensPerBlock"}.items()
                     if theirs in blocks}
    return seen


ENGINE = Engine(
    name="tensorrt-llm", title="NVIDIA TensorRT-LLM", place="own environment", distribution="tensorrt-llm",
    get="pip install tensorrt-llm in engines/envs/tensorrt-llm (its index: https://pypi.nvidia.com)",
    formats=("safetensors",), quants=("BF16", "FP8", "NVFP4", "AWQ", "GPTQ"), options=TensorRtLlmOptions,
    common=takes("tp", "pp", "kv_type", "prefix_caching", "chunked_prefill", "max_seqs", "max_batch_tok", "ctx_tok",
                 "speculative", "attention")
    | refuses(
        dp="one server is one copy; start several and put a router before them",
        nodes="it is started by mpirun over machines; start it yourself and give its url",
        quant=Refuses("the checkpoint declares it", also=("auto",)),
        gpu_layers="whole weights lie on the GPU", threads="the GPU computes",
    ),
    environment=Environment("", ("3.12",), gpu="an NVIDIA GPU"),
    command=_command, start_timeout_s=1800.0, metrics_path="/prometheus/metrics",
    metrics={
        "requests": "trtllm_request_success_total", "kv_used_frac": "trtllm_kv_cache_utilization",
        "prefix_hit_frac": "trtllm_kv_cache_hit_rate",
    },
    see=see, requests=Requests(keyed=False),
    tested="not run here: there is no GPU; its wire format is",
    note="its server asks for no key: loopback only, or behind a proxy that does",
)
