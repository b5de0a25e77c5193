"""The fake engine: an OpenAI-compatible server whose times are the simulator's. The engine of tests and docs."""

from pathlib import Path

from engines.fake.facts import see
from engines.fake.options import FakeOptions
from engines.record import Engine


def _argv(config: Path) -> tuple[str, ...]:
    return "-P", "-m", "engines.fake.server", str(config)


ENGINE = Engine(
    name="fake", title="the simulator as a server", place="base", get="part of the workbench",
    options=FakeOptions, argv=_argv, needs_model=False, see=see,
    metrics={
        "running": "fake:requests_running",
        "waiting": "fake:requests_waiting",
        "iterations": "fake:iterations_total",
        "prompt_tok": "fake:prompt_tokens_total",
        "generated_tok": "fake:generated_tokens_total",
        "preemptions": "fake:preemptions_total",
    },
)
