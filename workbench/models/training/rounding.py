"""Rounding to nearest in blocks, for the points of the curve that no GGUF format of ours reaches."""

from __future__ import annotations

import numpy as np

from workbench.models.tensors import Floats


def round_to_nearest(values: Floats, bits: int, block: int) -> Floats:
    """Symmetric levels halfway between steps (-1.5, -0.5, 0.5, 1.5 at 2 bits) times one F16 scale a block."""
    blocks = values.reshape(-1, block)
    half = 2 ** (bits - 1)
    scale = (np.abs(blocks).max(1, keepdims=True) / (half - 0.5)).astype(np.float16).astype(np.float32)
    scale[scale == 0] = 1
    level = np.clip(np.floor(blocks / scale), -half, half - 1) + 0.5
    return (level * scale).reshape(values.shape).astype(np.float32)
