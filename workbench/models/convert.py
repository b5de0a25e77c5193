"""A model folder as a GGUF file in one uniform format; every tensor's type is said explicitly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from workbench.files import atomic
from workbench.models import formats, gguf_tokenizer, layout
from workbench.models.folder import ModelFolder
from workbench.models.tensors import Floats
from workbench.models.weights import source_id, weights_id

CONVERTER_VERSION = 1  # raise it when the same input gives another file: cached files are keyed by it
WEIGHTS_KEY, GROWN_KEY = "inference_workbench.weights_id", "inference_workbench.grown_from"


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written."""

    path: Path
    quant: str
    weights_id: str
    params: int
    bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Of the whole file, vocabulary and header included."""
        return 8 * self.bytes / self.params


def rotary_rows(weight: Floats, heads: int) -> Floats:
    """Hugging Face keeps the two halves of a rotary pair half a head apart, llama.cpp side by side."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, columns)


def identify(folder: ModelFolder, quant: str) -> str:
    """`weights_id` of the model in this format: the same for a grown model and the one it grew from."""
    kinds = {name: formats.format_of(shape, quant, name) for name, shape in folder.ungrown_shapes.items()}
    return weights_id(source_id(folder.ungrown), kinds)


def convert(folder: ModelFolder, quant: str, out: Path) -> Converted:
    """Write `out` under a temporary name, then rename it. One tensor in memory at a time."""
    quant = formats.checked(quant)
    shapes = layout.shapes(folder.arch)
    kinds = {name: formats.format_of(shape, quant, name) for name, shape in shapes.items()}
    identity = identify(folder, quant)
    with atomic(out) as temporary:
        writer = GGUFWriter(temporary, "llama")
        try:
            _write_metadata(writer, folder, quant, identity)
            for name, shape in shapes.items():
                _declare(writer, name, shape, kinds[name])
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for name in shapes:
                writer.write_tensor_data(formats.pack(_oriented(folder, name), kinds[name]))
        finally:
            writer.close()
    return Converted(out, quant, identity, folder.arch.params, out.stat().st_size)


def _declare(writer: GGUFWriter, name: str, shape: tuple[int, ...], kind: str) -> None:
    size_bytes = formats.packed_bytes(shape, kind)
    plains: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16)}
    plain = plains.get(kind)
    if plain is not None:
        writer.add_tensor_info(layout.gguf_name(name), shape, plain, size_bytes)
        return
    byte_shape = (*shape[:-1], size_bytes * shape[-1] // int(np.prod(shape)))
    kind_id = GGMLQuantizationType[kind]
    writer.add_tensor_info(layout.gguf_name(name), byte_shape, np.dtype(np.uint8), size_bytes, raw_dtype=kind_id)


def _oriented(folder: ModelFolder, name: str) -> Floats:
    values, part = folder.tensors.array(name), layout.part_of(name)
    if part == layout.Q:
        return rotary_rows(values, folder.arch.heads)
    if part == layout.K:
        return rotary_rows(values, folder.arch.kv_heads)
    return values


def _write_metadata(writer: GGUFWriter, folder: ModelFolder, quant: str, identity: str) -> None:
    arch = folder.arch
    writer.add_name(folder.name)
    writer.add_file_type(int(formats.FORMATS[quant]))
    writer.add_quantization_version(2)
    writer.add_context_length(arch.context_tok)
    writer.add_embedding_length(arch.hidden)
    writer.add_block_count(arch.layers)
    writer.add_feed_forward_length(arch.feed_forward)
    writer.add_head_count(arch.heads)
    writer.add_head_count_kv(arch.kv_heads)
    writer.add_key_length(arch.head_dim)
    writer.add_value_length(arch.head_dim)
    writer.add_rope_dimension_count(arch.head_dim)
    writer.add_rope_freq_base(arch.rope_theta)
    writer.add_layer_norm_rms_eps(arch.norm_eps)
    writer.add_vocab_size(arch.vocab)
    writer.add_string(WEIGHTS_KEY, identity)
    if folder.origin is not None:
        writer.add_string(GROWN_KEY, folder.origin.name)
    gguf_tokenizer.read(folder.path, arch.vocab).write(writer)
