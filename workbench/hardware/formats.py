"""How many bits a weight takes in each format, what stays wide, and in which arithmetic it is computed."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from workbench.errors import UsageError
from workbench.hardware.accelerators import Dtype

WIDE_BITS = 16.0  # bf16: embeddings, output head, router and norms where only linear layers are quantised


@dataclass(frozen=True, slots=True)
class Format:
    """`bits` per quantised weight, scales included. `whole`: embeddings and output head are quantised too."""

    name: str
    bits: float
    dtype: Dtype
    whole: bool = False
    group: int = 1  # weights that share a scale; a tensor-parallel slice must hold whole groups
    source: str = ""


_BLOCKS = "ggml's block sizes"
# Mixtures (K_M, K_S, IQ) differ a little by model: the figure of the Llama-3.1-8B file.
_MIXTURE = "llama.cpp tools/quantize/README.md, Llama-3.1-8B file"
_LIST = (
    Format("bf16", 16.0, "bf16", True, source="definition"),
    Format("f16", 16.0, "bf16", True, source="definition"),
    Format("f32", 32.0, "bf16", True, source="definition"),
    Format("fp8", 8.0, "fp8", source="one scale per tensor or channel"),
    Format("fp8_block", 8.0 + 32 / (128 * 128), "fp8", group=128, source="a float32 scale per 128 x 128 block"),
    Format("int8", 8.0, "int8", source="W8A8, one scale per channel"),
    Format("int8_wo", 8.0, "bf16", source="W8A16, one scale per channel"),
    Format("awq", 4.0 + 20 / 128, "bf16", group=128, source="groups of 128: a 16-bit scale and a 4-bit zero point"),
    Format("gptq", 4.0 + 20 / 128, "bf16", group=128, source="groups of 128: a 16-bit scale and a 4-bit zero point"),
    Format("int4_wo", 4.0 + 16 / 128, "bf16", group=128, source="W4A16, symmetric, groups of 128 with a 16-bit scale"),
    Format("nvfp4", 4.5, "fp4", group=16, source="groups of 16 with an FP8 scale"),
    Format("mxfp4", 4.25, "fp4", group=32, source="OCP MX: groups of 32 with an 8-bit scale"),
    Format("Q8_0", 8.5, "bf16", True, 32, _BLOCKS), Format("Q5_1", 6.0, "bf16", True, 32, _BLOCKS),
    Format("Q5_0", 5.5, "bf16", True, 32, _BLOCKS), Format("Q4_1", 5.0, "bf16", True, 32, _BLOCKS),
    Format("Q4_0", 4.5, "bf16", True, 32, _BLOCKS), Format("Q6_K", 6.5633, "bf16", True, 256, _MIXTURE),
    Format("Q5_K_M", 5.7036, "bf16", True, 256, _MIXTURE), Format("Q5_K_S", 5.5704, "bf16", True, 256, _MIXTURE),
    Format("Q4_K_M", 4.8944, "bf16", True, 256, _MIXTURE), Format("Q4_K_S", 4.6672, "bf16", True, 256, _MIXTURE),
    Format("IQ4_XS", 4.4597, "bf16", True, 256, _MIXTURE), Format("Q3_K_L", 4.2979, "bf16", True, 256, _MIXTURE),
    Format("Q3_K_M", 3.9960, "bf16", True, 256, _MIXTURE), Format("Q3_K_S", 3.6429, "bf16", True, 256, _MIXTURE),
    Format("Q2_K", 3.1593, "bf16", True, 256, _MIXTURE),
)
FORMATS: Mapping[str, Format] = MappingProxyType({item.name.lower(): item for item in _LIST})
ALIASES: Mapping[str, str] = MappingProxyType({
    "bfloat16": "bf16", "fp16": "f16", "float16": "f16", "half": "f16", "fp32": "f32", "float32": "f32", "w8a8": "int8",
    "fp8_static": "fp8", "fp8_e4m3": "fp8", "w8a16": "int8_wo", "w4a16": "int4_wo", "int4": "int4_wo", "fp4": "nvfp4",
})
# Bytes of one key or value; llama.cpp's quantised caches carry a 16-bit scale per 32.
KV_BYTES: Mapping[str, float] = MappingProxyType({
    "bf16": 2.0, "f16": 2.0, "fp16": 2.0, "auto": 2.0, "f32": 4.0, "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0,
    "int8": 1.0, "q8_0": 34 / 32, "q4_0": 18 / 32,
})


def find(quant: str) -> Format:
    """A weight format by name, or one line with the nearest ones."""
    wanted = quant.lower().replace("-", "_")
    wanted = ALIASES.get(wanted, wanted)
    if wanted in FORMATS:
        return FORMATS[wanted]
    raise UsageError(f"quant: {quant!r} is not known; {_hint(wanted, FORMATS)}")


def kv_bytes(kv_type: str) -> float:
    """Bytes of one key or value in the cache; `auto` is 16 bits."""
    if kv_type.lower() in KV_BYTES:
        return KV_BYTES[kv_type.lower()]
    raise UsageError(f"kv_type: {kv_type!r} is not known; {_hint(kv_type.lower(), KV_BYTES)}")


def _hint(wanted: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(wanted, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
