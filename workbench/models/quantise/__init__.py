"""Ways to quantise, found by name: a dict of strings, each loaded when it is asked for."""

from __future__ import annotations

import difflib
import importlib

from workbench.errors import UsageError
from workbench.models.quantise.method import Method

_HERE = "workbench.models.quantise"
GGUF = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K_M", "Q4_1", "Q4_0", "Q3_K_M", "Q2_K",
        "TQ2_0", "TQ1_0")
METHODS: dict[str, str] = {name: f"{_HERE}.gguf:{name}" for name in GGUF} | {
    "gptq": f"{_HERE}.gptq:METHOD",
    "gptq-ct": f"{_HERE}.gptq_ct:METHOD",
    "awq": f"{_HERE}.awq:METHOD",
    "w8a8": f"{_HERE}.w8a8:METHOD",
    "fp8": f"{_HERE}.fp8:METHOD",
    "bnb-int8": f"{_HERE}.bnb_int8:METHOD",
    "bnb-nf4": f"{_HERE}.bnb_nf4:METHOD",
    "torchao-int8": f"{_HERE}.torchao_int8:METHOD",
    "onnx-int8": f"{_HERE}.onnx_int8:METHOD",
    "onnx-int4": f"{_HERE}.onnx_int4:METHOD",
    "exl2": f"{_HERE}.exl:EXL2",
    "exl3": f"{_HERE}.exl:EXL3",
}
DEAD = {"auto-gptq": "gptq", "autogptq": "gptq", "autoawq": "awq", "auto-awq": "awq"}  # who does their work now


def find(name: str) -> Method:
    """The method called `name`, in any case; an unknown one is one line with the nearest."""
    known = {method.lower(): method for method in METHODS}
    wanted = known.get(name.lower().replace("compressed-tensors-", ""))
    if wanted is None:
        raise UsageError(f"--to: {name!r} is no method; {_hint(name.lower(), known)}")
    module, _, attribute = METHODS[wanted].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, Method)
    return found


def _hint(wanted: str, known: dict[str, str]) -> str:
    if wanted in DEAD:
        return f"that library is no longer maintained, {DEAD[wanted]!r} does its work"
    near = difflib.get_close_matches(wanted, known, n=1)
    return f"did you mean {known[near[0]]!r}?" if near else f"there are {', '.join(METHODS)}"
