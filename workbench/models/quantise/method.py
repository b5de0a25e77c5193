"""What is known of one way to quantise: a frozen record. Who builds its environment and runs it is a flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Form = Literal["gguf", "safetensors", "onnx", "exl"]
Calibration = Literal["none", "takes", "needs"]


@dataclass(frozen=True, slots=True)
class Method:
    """`bits` of one quantised weight, scales left out. `child` is a script in `children/`, run by the Python of
    `environment`; "" is our own process. `reads` are the engines that claim to read the result."""

    name: str
    title: str
    form: Form
    bits: float
    reads: tuple[str, ...]
    environment: str = ""
    child: str = ""
    library: str = ""  # distribution that does the work
    calibration: Calibration = "none"
    settings: Mapping[str, Any] = field(default_factory=dict)  # told to the child, and to the provenance
    env: Mapping[str, str] = field(default_factory=dict)  # variables that the library reads
    needs_gpu: str = ""  # why it cannot run here, and what can


def llmcompressor(name: str, title: str, bits: float, *recipe: tuple[str, Mapping[str, Any]],
                  calibration: Calibration = "needs", pipeline: str = "basic") -> Method:
    """A method that is a recipe of llmcompressor's modifiers, stored as compressed-tensors."""
    return Method(
        name=name, title=title, form="safetensors", bits=bits, reads=("transformers", "vllm-cpu", "vllm"),
        environment="llmcompressor", child="llmcompressor_oneshot", library="llmcompressor", calibration=calibration,
        settings={"recipe": [[modifier, dict(given)] for modifier, given in recipe], "pipeline": pipeline},
    )
