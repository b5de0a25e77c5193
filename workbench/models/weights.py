"""`weights_id`: what the numbers in a model are, however the model was grown and wherever its file lies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from workbench.models.tensors import Tensors


def source_id(tensors: Tensors) -> str:
    """sha256 over names, shapes and values as little-endian float32: equal for F16, BF16 and F32 copies."""
    total = hashlib.sha256(b"inference-workbench source 1\n")
    for name in sorted(tensors.shapes):
        values = tensors.array(name)
        total.update(f"{name} {values.shape}\n".encode())
        total.update(np.ascontiguousarray(values, dtype="<f4").data)
    return total.hexdigest()


def weights_id(source: str, formats: Mapping[str, str]) -> str:
    """sha256 over the ungrown weights' id and the format of each ungrown tensor."""
    total = hashlib.sha256(f"inference-workbench weights 1\n{source}\n".encode())
    for name in sorted(formats):
        total.update(f"{name} {formats[name]}\n".encode())
    return total.hexdigest()
