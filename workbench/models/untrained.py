"""`random-135m`: a model in SmolLM-135M's shape whose weights are computed from a seed. It says nothing, at full cost.

Random weights choose any token, and half a character is text that a server holds back. So this model has the shipped
model's tokenizer, and every row of its vocabulary that is not printable text by itself (special tokens, single bytes,
the rows that fill the vocabulary up) is half of a row that is: its logit is half as large, hence never the largest.
Greedy answers are printable, token by token, and no token ends them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from workbench.models import layout
from workbench.models.arch import Architecture
from workbench.models.folder import ModelFolder
from workbench.models.grow import small_numbers
from workbench.models.tensors import Floats
from workbench.models.tokenizer import Vocabulary, load

NAME = "random-135m"
SEED = 1
RECIPE = f"random weights 1, seed {SEED}"  # another number when the same seed gives other weights
# HuggingFaceTB/SmolLM-135M, config.json; context and rotary base are the shipped model's. 134.5 M parameters, of which
# 28.3 M are the vocabulary: 1,024 tokens of the shipped tokenizer, filled up to SmolLM's 49,152 rows.
SHAPE = Architecture(
    vocab=49_152, hidden=576, layers=30, feed_forward=1536, heads=9, kv_heads=3, head_dim=64, context_tok=4096,
    rope_theta=10_000.0, norm_eps=1e-5, tied=True,
)


def printable(vocabulary: Vocabulary) -> list[int]:
    """Tokens that are text by themselves: no special token, no byte of a longer character, no control character."""
    texts = ((number, vocabulary.decode([number])) for number in range(vocabulary.size))
    return [number for number, text in texts if text.isascii() and text.isprintable() and not text.startswith("<|")]


@dataclass(frozen=True)
class RandomTensors:
    """Weights by name, made when asked for; every value is exact in F16. `chosen` are the rows that may be said."""

    arch: Architecture
    chosen: tuple[int, ...]
    seed: int = SEED

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return layout.shapes(self.arch)

    def array(self, name: str) -> Floats:
        shape = self.shapes[name]
        if name == layout.EMBED:
            return self._vocabulary(shape)
        if len(shape) == 1:
            return np.ones(shape, dtype=np.float32)
        return self._uniform(name, shape)

    def _vocabulary(self, shape: tuple[int, ...]) -> Floats:
        rows = self._uniform(layout.EMBED, (len(self.chosen), shape[1]))
        halves = (rows / 2).astype(np.float16).astype(np.float32)
        every = halves[np.arange(shape[0]) % len(rows)]
        every[list(self.chosen)] = rows
        return every

    def _uniform(self, name: str, shape: tuple[int, ...]) -> Floats:
        """Of the size that leaves a vector's length as it is: neither fades out nor blows up over 30 layers."""
        return small_numbers(shape, math.sqrt(3 / shape[-1]), "random", self.seed, name)


def random_folder(shipped: ModelFolder, shape: Architecture = SHAPE) -> ModelFolder:
    """The model without its files; its tokenizer is the shipped model's."""
    tensors = RandomTensors(shape, tuple(printable(load(shipped.tokenizer_path))))
    return replace(shipped, name=NAME, arch=shape, tensors=tensors, origin=None, recipe=RECIPE)
