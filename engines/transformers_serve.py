"""Hugging Face transformers: `transformers serve`, with continuous batching."""

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from engines.common import refuses, takes
from engines.own import Environment
from engines.record import Engine, Look, Requests, Seen
from workbench.config import Settings

LOG = "log at start"
MAIN = Path(__file__).resolve().parent / "hosted" / "main.py"
_FACTS = re.compile(r"^workbench facts: (\{.*\})$", re.MULTILINE)


class TransformersOptions(Settings):
    """Options of `transformers serve`; None is its own default."""

    device: str = Field("cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="cpu, cuda, cuda:1, auto")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: as the weights are")
    quant: Literal["bnb-4bit", "bnb-8bit"] | None = Field(None, description="bitsandbytes, when loaded")
    continuous_batching: bool = Field(True, description="off: one request at a time")
    attention: str | None = Field(None, description="such as sdpa, eager, flash_attention_2", pattern=r"^[\w|-]+$")
    max_batch_tok: int | None = Field(None, ge=1, description="most tokens of one iteration")
    block_tok: int | None = Field(None, ge=1, description="tokens of one KV block")
    kv_blocks: int | None = Field(None, ge=1, description="blocks of the KV cache")
    beside: str | None = Field(
        None, pattern=r"^\w[\w.-]*$", description="environment whose libraries are added after its own, for quantised "
        "checkpoints: gptqmodel, llmcompressor, bitsandbytes, torchao")
    threads: int = Field(1, ge=1, le=512, description="compute threads")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")


def hosted(name: str, config: Path) -> tuple[str, ...]:
    return "-P", "-B", str(MAIN), name, str(config)


def told_in_log(look: Look) -> dict[str, tuple[Any, str]]:
    """What a hosted server wrote about itself."""
    hit = _FACTS.search(look.log)
    facts: dict[str, Any] = json.loads(hit[1]) if hit else {}
    return {name: (value, LOG) for name, value in facts.items()}


def see(look: Look) -> Seen:
    return told_in_log(look)


def _argv(config: Path) -> tuple[str, ...]:
    return hosted("transformers_serve", config)


_STOPS_NEVER = json.dumps({"eos_token_id": -1, "do_sample": False})  # null would fall back to the model's

ENGINE = Engine(
    name="transformers", title="Hugging Face transformers serve", place="own environment",
    distribution="transformers", get="workbench engines install transformers", formats=("safetensors",),
    quants=("F32", "BF16", "F16", "bnb-4bit", "bnb-8bit"), options=TransformersOptions,
    common=takes("quant", "attention", "max_batch_tok", "threads")
    | refuses(
        tp="`transformers serve` runs on one device", pp="`transformers serve` runs on one device",
        dp="one server is one copy", nodes="one machine", kv_type="the KV cache has the weights' type",
        prefix_caching="`transformers serve` has no switch for it", chunked_prefill="always on, by max_batch_tok",
        max_seqs="bounded by max_batch_tok and kv_blocks only", ctx_tok="the model's own",
        gpu_layers="device_map is not offered by `transformers serve`", speculative="not with continuous batching",
    ),
    environment=Environment(
        "transformers.txt", ("3.11",), 1_262_000_000, 130, index="https://download.pytorch.org/whl/cpu",
    ),
    argv=_argv, start_timeout_s=300.0, see=see,
    requests=Requests(ids=False, ignore_eos=False, no_eos={"generation_config": _STOPS_NEVER}),
    tested="run here",
    note="text prompts only; no /metrics, no end mark after a stream; the key is checked by us, it has none",
)
