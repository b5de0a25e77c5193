"""TPUs: vLLM's TPU build (`vllm serve` on a TPU machine), met as an endpoint; it answers as vLLM does."""

from engines.common import refuses, takes
from engines.record import Engine, Requests
from engines.vllm import METRICS, VllmOptions
from engines.vllm_facts import see

ENGINE = Engine(
    name="tpu", title="vLLM on a TPU", place="endpoint",
    get="on the TPU machine: pip install vllm-tpu; vllm serve MODEL --tensor-parallel-size CHIPS",
    formats=("safetensors",), quants=("BF16", "FP8", "W8A8"), options=VllmOptions, needs_model=False,
    common=takes("tp", "kv_type", "prefix_caching", "chunked_prefill", "max_seqs", "max_batch_tok", "ctx_tok")
    | refuses(
        pp="chips of a slice share every layer: give tp", dp="start one server a slice",
        nodes="a slice of several hosts is started by its own tools; give the url of the first",
        quant="the checkpoint declares it", gpu_layers="weights lie on the chips", speculative="not offered on TPUs",
        attention="one paged kernel (Pallas)", threads="the chips compute",
    ),
    metrics=METRICS, see=see, requests=Requests(logit_bias=False),
    tested="not run here: there is no TPU; its wire format, vLLM's, is",
    note="JetStream's own API is gRPC and no OpenAI HTTP: put a gateway before it and use engine openai",
)
