"""Engines by name: a dict of strings, loaded when asked for."""

import difflib
import importlib

from engines.record import Engine
from workbench.errors import Failure, UsageError

NAMES: dict[str, str] = {
    "llama.cpp": "engines.llama_cpp:ENGINE",
    "openai": "engines.openai:ENGINE",
    "fake": "engines.fake:ENGINE",
    "vllm": "engines.listed:VLLM",
    "vllm-cpu": "engines.listed:VLLM_CPU",
    "transformers": "engines.listed:TRANSFORMERS",
    "onnxruntime": "engines.listed:ONNXRUNTIME",
    "ollama": "engines.listed:OLLAMA",
    "tensorrt-llm": "engines.listed:TENSORRT_LLM",
    "sglang": "engines.listed:SGLANG",
    "llama-cpp-python": "engines.listed:LLAMA_CPP_PYTHON",
}
OURS = frozenset({"engines", "workbench", "sims"})


class EngineNotAvailable(Failure):
    """The engine is known and not installed here; the message holds the line that gets it."""


def find(name: str) -> Engine:
    """The record called `name`; it may be of an engine that is not installed here."""
    place = NAMES.get(name)
    if place is None:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(NAMES)}"
        raise UsageError(f"no engine {name!r}; {hint}")
    module, _, attribute = place.partition(":")
    try:
        record = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in OURS:
            raise  # a bug here, not a missing package
        raise EngineNotAvailable(f"engine {name!r} needs {error.name}: pip install {error.name}") from error
    assert isinstance(record, Engine)
    return record


def require(engine: Engine) -> Engine:
    """The engine, if it can be launched here; else EngineNotAvailable, saying how to get it."""
    if not engine.usable:
        raise EngineNotAvailable(
            f"engine {engine.name!r} comes as endpoint: start it yourself and use engine 'openai' with its URL"
            f" (to get it: {engine.get})"
        )
    if engine.distribution and engine.version() is None:
        raise EngineNotAvailable(f"engine {engine.name!r} is not installed here: {engine.get}")
    return engine
