"""llama.cpp through the `xllamacpp` wheel: a real server with slots and continuous batching, in a child process."""

from pathlib import Path

from engines.common import Refuses, refuses, takes
from engines.llama_cpp.facts import see
from engines.llama_cpp.options import LlamaCppOptions
from engines.record import Engine, Requests


def _argv(config: Path) -> tuple[str, ...]:
    return "-P", "-m", "engines.llama_cpp.server", str(config)


ENGINE = Engine(
    name="llama.cpp", title="llama.cpp (xllamacpp)", place="base", distribution="xllamacpp",
    get="pip install xllamacpp",
    formats=("gguf",), quants=("F32", "F16", "BF16", "Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1", "K-quants"),
    options=LlamaCppOptions, argv=_argv, see=see,
    common=takes(
        "kv_type", "gpu_layers", "speculative", "threads", "prefix_caching",
        max_seqs="slots", max_batch_tok="n_batch", ctx_tok="ctx_per_slot_tok", attention="flash_attention",
    )
    | refuses(
        tp="it spreads layers, not parts of them; the wheel has no GPU", pp="the wheel has no GPU",
        dp="one server is one copy; start several", nodes="one machine",
        quant="the GGUF file decides: choose it for the model",
        chunked_prefill=Refuses("always on: a prompt is cut at max_batch_tok", also=(True,)),
    ),
    requests=Requests(extra={"cache_prompt": False}, logit_bias=True), tested="run here",
    metrics={
        "running": "llamacpp:requests_processing",
        "waiting": "llamacpp:requests_deferred",
        "iterations": "llamacpp:n_decode_total",
        "prompt_tok": "llamacpp:prompt_tokens_total",
        "cached_tok": "llamacpp:prompt_tokens_cached_total",
        "generated_tok": "llamacpp:tokens_predicted_total",
        "busy_slots_mean": "llamacpp:n_busy_slots_per_decode",
    },
)
