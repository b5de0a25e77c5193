"""GGUF formats as methods: the uniform ones by the `gguf` package, K-quants by llama.cpp's own quantiser."""

from __future__ import annotations

from workbench.models.formats import K_QUANTS
from workbench.models.quantise.method import Method

READS = ("llama.cpp", "llama-cpp-python", "ollama")
# bits of one weight, scales left out; mixtures: of most weights
_BITS = {"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8, "Q6_K": 6, "Q5_K_M": 5, "Q5_1": 5, "Q5_0": 5, "Q4_K_M": 4,
         "Q4_1": 4, "Q4_0": 4, "Q3_K_M": 3, "Q2_K": 2, "TQ2_0": 1.58, "TQ1_0": 1.58}


def _method(name: str) -> Method:
    mixture = name in K_QUANTS
    return Method(
        name=name, title=f"GGUF {name}", form="gguf", bits=_BITS[name], reads=READS,
        library="" if mixture else "gguf", calibration="takes" if mixture else "none",
    )


def __getattr__(name: str) -> Method:
    """`gguf.Q4_K_M` and the like."""
    if name in _BITS:
        return _method(name)
    raise AttributeError(name)
