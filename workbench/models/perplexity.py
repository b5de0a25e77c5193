"""Perplexity of rows of ids by the plain numpy Llama: what a format's weights stand for, whoever else reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from workbench.models.arch import Architecture
from workbench.models.forward import Llama, log_softmax
from workbench.models.tensors import Tensors

MOST_PARAMS = 400_000_000  # numpy takes about a second for 10^10 multiplications
Row = Sequence[int]


def mean_nats(arch: Architecture, tensors: Tensors, rows: Sequence[Row]) -> float:
    """Mean negative log-probability of each token but the first of its row."""
    model, total, count = Llama(arch, tensors), 0.0, 0
    for row in rows:
        ids = np.array([row], dtype=np.int64)
        scores = log_softmax(model.logits(ids))[0, :-1]
        total -= float(scores[np.arange(len(row) - 1), ids[0, 1:]].sum(dtype=np.float64))
        count += len(row) - 1
    return total / count


def perplexity(nats: float) -> float:
    """exp, and infinity instead of an overflow."""
    return math.exp(nats) if nats < 700 else math.inf
