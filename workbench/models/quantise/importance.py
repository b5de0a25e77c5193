"""Importance matrix: how large each input of each layer's matrix is on calibration text (mean square)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.models import layout
from workbench.models.arch import Architecture
from workbench.models.forward import Llama
from workbench.models.tensors import Floats, Tensors


def importance(arch: Architecture, tensors: Tensors, rows: Sequence[Sequence[int]]) -> dict[str, Floats]:
    """By GGUF tensor name, as llama.cpp's quantiser takes it; embeddings and head are left out, as its tool does."""
    sums: dict[str, Floats] = {}
    seen = 0

    def watch(name: str, inputs: Floats) -> None:
        squares = (inputs.astype(np.float32) ** 2).sum(axis=(0, 1), dtype=np.float64).astype(np.float32)
        sums[name] = sums[name] + squares if name in sums else squares

    model = Llama(arch, tensors, watch=watch)
    for row in rows:
        model.logits(np.array([row], dtype=np.int64))
        seen += len(row)
    return {layout.gguf_name(name): total / np.float32(seen) for name, total in sums.items()}
