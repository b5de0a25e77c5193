"""llama-cpp-python: llama.cpp by another binding; `python -m llama_cpp.server` serves one request at a time."""

from typing import Any, Literal

from pydantic import Field

from engines.common import Refuses, refuses, takes
from engines.own import Environment
from engines.record import Command, Engine, Look, Requests, Seen, Start
from workbench.config import Settings

KV_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}  # ggml's numbers


class LlamaCppPythonOptions(Settings):
    """Options of its server."""

    ctx_tok: int = Field(4096, ge=8, description="longest prompt and answer together (n_ctx)")
    n_batch: int = Field(512, ge=1, description="most tokens of one pass over a prompt")
    threads: int = Field(1, ge=1, le=512, description="compute threads")
    gpu_layers: int = Field(0, ge=-1, description="layers on the GPU (-1: all); needs a CUDA build")
    kv_type: Literal["f16", "q8_0", "q4_0"] = Field("f16", description="type of the KV cache")
    flash_attention: bool = Field(False, description="fused attention; a quantised KV cache needs it")
    prefix_caching: bool = Field(False, description="keep states of earlier prompts in memory")
    speculative_tok: int | None = Field(None, ge=1, le=64, description="n-gram guesses (prompt lookup)")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")


def _command(start: Start) -> Command:
    asked = start.options
    flags: dict[str, Any] = {
        "--model": start.model, "--model_alias": start.model_name, "--host": start.host, "--port": start.port,
        "--n_ctx": asked.ctx_tok, "--n_batch": asked.n_batch, "--n_threads": asked.threads,
        "--n_threads_batch": asked.threads, "--n_gpu_layers": asked.gpu_layers,
        "--type_k": KV_TYPES[asked.kv_type], "--type_v": KV_TYPES[asked.kv_type],
        "--flash_attn": asked.flash_attention, "--cache": asked.prefix_caching, "--interrupt_requests": False,
    }
    if asked.speculative_tok is not None:
        flags |= {"--draft_model": "prompt-lookup-decoding", "--draft_model_num_pred_tokens": asked.speculative_tok}
    words = [word for flag, value in flags.items() for word in (flag, str(value))]
    return Command(("-P", "-m", "llama_cpp.server", *words), {"API_KEY": start.api_key})


def see(look: Look) -> Seen:
    models = look.get("/v1/models")
    served = isinstance(models, dict) and bool(models.get("data"))
    return {"max_seqs": (1, "its server takes one request after another")} if served else {}


ENGINE = Engine(
    name="llama-cpp-python", title="llama-cpp-python", place="own environment", distribution="llama-cpp-python",
    get="workbench engines install llama-cpp-python", formats=("gguf",),
    quants=("F16", "Q8_0", "Q4_0", "K-quants"), options=LlamaCppPythonOptions,
    common=takes("ctx_tok", "threads", "gpu_layers", "kv_type", "prefix_caching", max_batch_tok="n_batch")
    | refuses(
        tp="give gpu_layers; it splits them over GPUs by itself", pp="give gpu_layers", dp="one server is one copy",
        nodes="one machine", quant="the GGUF file decides", chunked_prefill="one request at a time",
        max_seqs=Refuses("its server takes one request at a time; engine llama.cpp has slots", also=(1,)),
        speculative="n-gram only, by speculative_tok", attention="on or off, by flash_attention",
    ),
    environment=Environment("llama-cpp-python.txt", ("3.11",), source_builds=("llama-cpp-python",)),
    command=_command, health_path="/v1/models", see=see, requests=Requests(ignore_eos=False),
    tested="not run here: it is a source build; its wire format is OpenAI's",
    note="a source build of 10 to 30 minutes; one request at a time, no /metrics; here for its quantiser",
)
