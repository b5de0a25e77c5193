"""What can be asked of any engine, under one name: an engine takes it under a name of its own, or refuses and says why.

A neutral value (one GPU, no draft model) is no request: an engine that refuses the option still accepts it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.errors import ConfigError

COMMON: dict[str, str] = {
    "tp": "GPUs (or CPU ranks) that share every layer: tensor parallel",
    "pp": "groups of layers on GPUs one behind the other: pipeline parallel",
    "dp": "copies of the model behind one address: data parallel",
    "nodes": "machines that the GPUs are on",
    "quant": "quantisation of the weights, made or declared when the model is loaded",
    "kv_type": "type of the KV cache",
    "prefix_caching": "reuse the KV cache of an equal beginning",
    "chunked_prefill": "cut long prompts so that running answers go on beside them",
    "max_seqs": "most requests in one batch",
    "max_batch_tok": "most tokens of one iteration",
    "ctx_tok": "longest prompt and answer together",
    "gpu_layers": "layers that lie on the GPU, the rest on the CPU",
    "speculative": "tokens guessed ahead and checked: {method, tokens, model}",
    "attention": "attention kernels",
    "threads": "compute threads on the CPU",
}
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "tp": (1,), "pp": (1,), "dp": (1,), "nodes": (1,), "quant": ("",), "gpu_layers": (0,),
    "kv_type": ("auto",), "attention": ("auto",),
}


class Speculative(Settings):
    """Guessing ahead: by repetition of what was said (`ngram`), or by a small model (`draft`)."""

    method: Literal["ngram", "draft"]
    tokens: int = Field(4, ge=1, le=64, description="most tokens guessed at a time")
    model: Path | None = Field(None, description="the draft model")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.method == "draft") != (self.model is not None):
            raise ValueError("method draft needs a model, and ngram takes none")
        return self


@dataclass(frozen=True, slots=True)
class Takes:
    """Accepted, under the engine's own name."""

    own: str


@dataclass(frozen=True, slots=True)
class Refuses:
    """Not accepted; `why` ends the sentence "NAME refuses OPTION: ..."; `also` are further values that ask nothing."""

    why: str
    also: tuple[Any, ...] = ()


Answers = Mapping[str, Takes | Refuses]


def takes(*names: str, **renamed: str) -> dict[str, Takes | Refuses]:
    """Options by their common name, and some under another: `takes("tp", ctx_tok="max_model_len")`."""
    return {name: Takes(renamed.get(name, name)) for name in (*names, *renamed)}


def refuses(**why: str | Refuses) -> dict[str, Takes | Refuses]:
    return {name: reason if isinstance(reason, Refuses) else Refuses(reason) for name, reason in why.items()}


def translate(engine: str, answers: Answers, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the engine's own options, what was asked in a neutral value of an option that it refuses).

    Raises ConfigError for an option that is refused, or given twice.
    """
    where, own, neutral = f"options of {engine}", dict[str, Any](), dict[str, Any]()
    for name, value in asked.items():
        answer = answers.get(name)
        if isinstance(answer, Refuses):
            if not _asks_nothing(name, value, answer):
                raise ConfigError(where, name, f"{value!r}: {engine} refuses it: {answer.why}")
            neutral[name] = value
            continue
        key = answer.own if answer is not None else name
        if key in own:
            raise ConfigError(where, name, f"is the same as {key!r}, which is given too", "leave one out")
        own[key] = value
    return own, neutral


def _asks_nothing(name: str, value: Any, answer: Refuses) -> bool:
    accepted = (None, *NEUTRAL.get(name, ()), *answer.also)
    return any(value is item or (type(value) is type(item) and value == item) for item in accepted)
