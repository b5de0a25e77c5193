"""The fake engine: an OpenAI-compatible server whose times are the simulator's. The engine of tests and docs."""

from pathlib import Path

from engines.common import refuses, takes
from engines.fake.facts import see
from engines.fake.options import FakeOptions
from engines.record import Engine, Requests


def _argv(config: Path) -> tuple[str, ...]:
    return "-P", "-m", "engines.fake.server", str(config)


ENGINE = Engine(
    name="fake", title="the simulator as a server", place="base", get="part of the workbench",
    options=FakeOptions, argv=_argv, needs_model=False, see=see,
    common=takes(max_seqs="slots", max_batch_tok="n_batch", ctx_tok="ctx_per_slot_tok")
    | refuses(**dict.fromkeys(
        ("tp", "pp", "dp", "nodes", "quant", "kv_type", "prefix_caching", "chunked_prefill", "gpu_layers",
         "speculative", "attention", "threads"), "times come from its profile; give one that was measured so",
    )),
    requests=Requests(extra={"cache_prompt": False}, logit_bias=True), tested="run here",
    metrics={
        "running": "fake:requests_running",
        "waiting": "fake:requests_waiting",
        "iterations": "fake:iterations_total",
        "prompt_tok": "fake:prompt_tokens_total",
        "generated_tok": "fake:generated_tokens_total",
        "preemptions": "fake:preemptions_total",
    },
)
