"""ONNX Runtime GenAI: a library with continuous scheduling, behind a small server of ours."""

from pathlib import Path

from pydantic import Field

from engines.common import refuses, takes
from engines.own import Environment
from engines.record import Engine, Look, Requests, Seen
from engines.transformers_serve import hosted, told_in_log
from workbench.config import Settings

PROPS = "/props"


class OnnxOptions(Settings):
    """Options of our server; the model's precision is that of its export."""

    max_seqs: int = Field(4, ge=1, le=256, description="most requests in one batch")
    threads: int = Field(1, ge=1, le=512, description="compute threads")
    http_body_bytes: int = Field(1 << 20, ge=1024, description="longest request")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")


def see(look: Look) -> Seen:
    props = look.get(PROPS)
    told = {name: (value, PROPS) for name, value in props.items()} if isinstance(props, dict) else {}
    return {**told_in_log(look), **told}


def _argv(config: Path) -> tuple[str, ...]:
    return hosted("onnx_server", config)


ENGINE = Engine(
    name="onnxruntime", title="ONNX Runtime GenAI", place="own environment", distribution="onnxruntime-genai",
    get="workbench engines install onnxruntime", formats=("onnx",), quants=("F32", "INT4"), options=OnnxOptions,
    common=takes("max_seqs", "threads")
    | refuses(
        tp="one device", pp="one device", dp="one server is one copy", nodes="one machine",
        quant="the export decides: choose F32 or INT4 for the model", kv_type="the export decides",
        prefix_caching="a request of the library is a session of its own",
        chunked_prefill="a batch is formed when the one before has ended; prompts are not cut",
        max_batch_tok="a batch is bounded by max_seqs only", ctx_tok="the model's own",
        gpu_layers="the CPU build", speculative="offered by the library for models exported so; not by our server",
        attention="the export decides",
    ),
    environment=Environment(
        "onnxruntime.txt", ("3.11",), 1_380_000_000, 60, index="https://download.pytorch.org/whl/cpu",
    ),
    argv=_argv, start_timeout_s=120.0, see=see,
    metrics={
        "running": "onnx:requests_running", "waiting": "onnx:requests_waiting", "iterations": "onnx:iterations_total",
        "prompt_tok": "onnx:prompt_tokens_total", "generated_tok": "onnx:generated_tokens_total",
    },
    requests=Requests(), tested="run here",
    note="on a CPU its scheduler is static: a new batch begins when the last request of the one before has ended",
)
