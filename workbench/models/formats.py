"""The uniform GGUF formats that the `gguf` package can write: names, sizes, packing."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.models.tensors import Floats

FORMATS: dict[str, LlamaFileType] = {
    "F32": LlamaFileType.ALL_F32, "F16": LlamaFileType.MOSTLY_F16, "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0, "Q5_1": LlamaFileType.MOSTLY_Q5_1, "Q5_0": LlamaFileType.MOSTLY_Q5_0,
    "Q4_1": LlamaFileType.MOSTLY_Q4_1, "Q4_0": LlamaFileType.MOSTLY_Q4_0, "TQ1_0": LlamaFileType.MOSTLY_TQ1_0,
    "TQ2_0": LlamaFileType.MOSTLY_TQ2_0,
}
K_QUANTS = {  # mixtures that only llama.cpp's own quantiser makes (quantise/kquants.py)
    "Q6_K": LlamaFileType.MOSTLY_Q6_K, "Q5_K_M": LlamaFileType.MOSTLY_Q5_K_M, "Q4_K_M": LlamaFileType.MOSTLY_Q4_K_M,
    "Q3_K_M": LlamaFileType.MOSTLY_Q3_K_M, "Q2_K": LlamaFileType.MOSTLY_Q2_K,
}
VECTOR = "F32"  # norms are never quantised


def checked(quant: str) -> str:
    """The format's own spelling, or one line with what there is."""
    wanted = quant.upper()
    known = (*FORMATS, *K_QUANTS)
    if wanted in known:
        return wanted
    close = difflib.get_close_matches(wanted, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"quant: {quant!r} cannot be made here; {hint}there are {', '.join(known)}")


def format_of(shape: tuple[int, ...], quant: str, name: str) -> str:
    """The format of one tensor, said explicitly: matrices as asked, vectors F32."""
    if len(shape) < 2:
        return VECTOR
    block, _ = GGML_QUANT_SIZES[GGMLQuantizationType[quant]]
    if shape[-1] % block:
        raise UsageError(f"{name}: rows of {shape[-1]} do not divide into {quant}'s blocks of {block}; use F16 or Q8_0")
    return quant


def packed_bytes(shape: tuple[int, ...], quant: str) -> int:
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[quant]]
    return int(np.prod(shape)) // block * block_bytes


def pack(values: Floats, quant: str) -> NDArray[Any]:
    """As the file holds it: floats for F32 and F16, bytes for the rest."""
    if quant == "F32":
        return values
    if quant == "F16":
        return half(values)
    packed: NDArray[Any] = quantize(values, GGMLQuantizationType[quant])
    return packed


def half(values: Floats) -> NDArray[np.float16]:
    """In F16; a weight beyond its range would become infinite and is refused."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest >= 65520.0:  # from here on F16 rounds to infinity
        raise UsageError(f"a weight of {largest:.3g} is beyond F16's range; use BF16 or F32")
    return values.astype(np.float16)


def unpack(packed: NDArray[Any], quant: str) -> Floats:
    values: Floats = dequantize(packed, GGMLQuantizationType[quant]).astype(np.float32)
    return values


def from_bytes(raw: NDArray[np.uint8], kind: str, shape: tuple[int, ...]) -> Floats:
    """A tensor as it lies in a file, in any of GGUF's formats that the `gguf` package reads, K-quants among them."""
    plain = {"F32": "<f4", "F16": "<f2"}.get(kind)
    if plain is not None:
        return raw.view(plain).astype(np.float32).reshape(shape)
    try:
        block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        rows = raw.reshape(*shape[:-1], shape[-1] // block * block_bytes)
        return unpack(rows, kind).reshape(shape)
    except NotImplementedError as error:
        raise UsageError(f"{kind}: its values cannot be read here") from error


def round_trip(values: Floats, quant: str) -> Floats:
    """What is left of the values after packing."""
    return unpack(pack(values, quant), quant) if values.ndim > 1 else values
