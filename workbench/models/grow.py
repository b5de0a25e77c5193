"""A larger model that computes exactly the same function, so that speed is measured where compute rules.

Added layers have zero output projections and so add zero to the residual stream; added feed-forward columns
are multiplied by zero. Widths are multiples of 256, so no quantised block mixes old and new values.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import UsageError
from workbench.models import layout
from workbench.models.arch import Architecture
from workbench.models.draw import digest
from workbench.models.tensors import Floats, Tensors

STEP = 256             # the largest block of any GGUF format (K-quants, TQ2_0)
SEED = 1
MOST_PARAMS = 4_000_000_000
DEPTH_WEIGHT = 0.02    # how much size error a better ratio of depth to width is worth
_UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
_HALF_WIDTH = 0.02 * math.sqrt(3)  # uniform with the standard deviation at which training began


def parse_params(text: str) -> int:
    """`27M`, `1.1B` or a plain number."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([KMB]?)", text.strip().upper())
    if match is None:
        raise UsageError(f"params: {text!r} is no size; write it as 27M, 1.1B or 27000000")
    return round(float(match[1]) * _UNITS[match[2]])


def plan(base: Architecture, params: int) -> Architecture:
    """The nearest architecture to `params`, deeper and wider in about the same proportion.

    Deterministic. Feed-forward grows in steps of 256, so the size that comes out may differ by a few percent.
    """
    if not base.params <= params <= MOST_PARAMS:
        raise UsageError(f"params: {params:,}: must lie between {base.params:,} (the model itself) and {MOST_PARAMS:,}")
    fixed = base.params - base.layers * base.layer_params
    thin = base.layer_params - 3 * base.hidden * base.feed_forward
    best, best_cost = base, math.inf
    for layers in range(base.layers, base.layers * 16 + 1):
        wide = ((params - fixed) / layers - thin) / (3 * base.hidden)
        extra_steps = max(0, round((wide - base.feed_forward) / STEP))
        candidate = replace(base, layers=layers, feed_forward=base.feed_forward + STEP * extra_steps)
        depth_gain, width_gain = layers / base.layers, candidate.feed_forward / base.feed_forward
        # width grows with the square of depth: few layers keep the KV cache small
        shape_error = abs(math.log(width_gain) - 2 * math.log(depth_gain))
        cost = abs(candidate.params - params) / params + DEPTH_WEIGHT * shape_error
        if cost < best_cost:
            best, best_cost = candidate, cost
    return best


def small_numbers(shape: tuple[int, ...], half_width: float, *key: object) -> Floats:
    """Uniform in [-half_width, half_width), decided by the key alone; every value is exact in F16."""
    # raw bits: numpy promises them for ever, its distributions it does not
    raw = np.random.PCG64(digest(*key)).random_raw(math.prod(shape))
    unit = (raw >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    values = (unit * 2 - 1) * np.float32(half_width)
    return values.astype(np.float16).astype(np.float32).reshape(shape)


@dataclass(frozen=True, slots=True)
class GrownTensors:
    """The weights of `target`, made from those of `base` when asked for."""

    tensors: Tensors
    base: Architecture
    target: Architecture
    seed: int = SEED

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return layout.shapes(self.target)

    def array(self, name: str) -> Floats:
        shape, part = self.shapes[name], layout.part_of(name)
        if layout.layer_of(name) >= self.base.layers:
            return self._fill(name, shape, part)
        old = self.tensors.array(name)
        if old.shape == shape:
            return old
        grown = self._fill(name, shape, part)
        grown[tuple(slice(0, length) for length in old.shape)] = old
        return grown

    def _fill(self, name: str, shape: tuple[int, ...], part: str) -> Floats:
        """Zero where the output would change, one for norms, else small numbers (zeros would be too easy to skip)."""
        if part in (layout.O, layout.DOWN):
            return np.zeros(shape, dtype=np.float32)
        if len(shape) == 1:
            return np.ones(shape, dtype=np.float32)
        return small_numbers(shape, _HALF_WIDTH, "grow", self.seed, name)


@dataclass(frozen=True, slots=True)
class UngrownTensors:
    """What a grown model was grown from."""

    tensors: Tensors
    base: Architecture

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return layout.shapes(self.base)

    def array(self, name: str) -> Floats:
        shape = self.shapes[name]
        cut = self.tensors.array(name)[tuple(slice(0, length) for length in shape)]
        return np.ascontiguousarray(cut)


def adds_nothing(tensors: Tensors, base: Architecture, target: Architecture) -> bool:
    """Whether everything beyond `base` that could change the output is zero."""
    for layer in range(target.layers):
        outputs, down = (layout.in_layer(layer, part) for part in (layout.O, layout.DOWN))
        if layer >= base.layers and tensors.array(outputs).any():
            return False
        kept = base.feed_forward if layer < base.layers else 0
        if tensors.array(down)[:, kept:].any():
            return False
    return True
