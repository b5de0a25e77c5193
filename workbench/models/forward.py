"""A plain numpy Llama: the reference that engines, formats and growing are checked against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.models import layout
from workbench.models.arch import Architecture
from workbench.models.tensors import Floats, Tensors

Ids = NDArray[np.int64]
TILE = 256  # of matrix products: with a fixed tile, added zero columns cannot change how sums are rounded


def linear(x: Floats, weight: Floats) -> Floats:
    """x @ weight.T in tiles of one size, summed in one order."""
    rows, columns = weight.shape
    out = np.zeros((*x.shape[:-1], rows), dtype=np.float32)
    for row in range(0, rows, TILE):
        for column in range(0, columns, TILE):
            tile = weight[row:row + TILE, column:column + TILE]
            out[..., row:row + TILE] += x[..., column:column + TILE] @ tile.T
    return out


def rms_norm(x: Floats, weight: Floats, eps: float) -> Floats:
    scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32) + np.float32(eps))
    return (x / scale * weight).astype(np.float32, copy=False)


def rotate(x: Floats, positions: Ids, theta: float) -> Floats:
    """Rotary positions on [..., heads, T, head_dim], Hugging Face's halves."""
    half = x.shape[-1] // 2
    frequency = theta ** (-np.arange(half, dtype=np.float64) / half)
    angle = positions[:, None] * frequency[None, :]
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _silu(x: Floats) -> Floats:
    gate: Floats = x / (1 + np.exp(-np.clip(x, -80, None), dtype=np.float32))
    return gate


class Llama:
    """All weights in memory as float32; `through` may change each one (a format's round trip).

    `watch` is told the name of each layer's matrix and what is multiplied with it: for an importance matrix.
    """

    def __init__(self, arch: Architecture, tensors: Tensors,
                 through: Callable[[Floats], Floats] = lambda values: values,
                 watch: Callable[[str, Floats], None] | None = None) -> None:
        self.arch, self._watch = arch, watch
        self._weights = {name: through(tensors.array(name)) for name in layout.shapes(arch)}

    def logits(self, ids: Ids, cache: list[tuple[Floats, Floats]] | None = None) -> Floats:
        """[B, T] token ids to [B, T, vocabulary]. A cache (start with an empty list) is read and extended."""
        weights, eps = self._weights, self.arch.norm_eps
        x = weights[layout.EMBED][ids]
        for layer in range(self.arch.layers):
            x = x + self._attention(layer, rms_norm(x, self._part(layer, layout.NORM_1), eps), cache)
            normed = rms_norm(x, self._part(layer, layout.NORM_2), eps)
            gated = _silu(self._linear(normed, layer, layout.GATE))
            x = x + self._linear(gated * self._linear(normed, layer, layout.UP), layer, layout.DOWN)
        head = weights[layout.EMBED if self.arch.tied else layout.HEAD]
        return linear(rms_norm(x, weights[layout.NORM], eps), head)

    def _part(self, layer: int, part: str) -> Floats:
        return self._weights[layout.in_layer(layer, part)]

    def _linear(self, x: Floats, layer: int, part: str) -> Floats:
        if self._watch is not None:
            self._watch(layout.in_layer(layer, part), x)
        return linear(x, self._part(layer, part))

    def _attention(self, layer: int, x: Floats, cache: list[tuple[Floats, Floats]] | None) -> Floats:
        arch, (batch, new_tok, _) = self.arch, x.shape

        def heads(part: str, count: int) -> Floats:
            flat = self._linear(x, layer, part).reshape(batch, new_tok, count, arch.head_dim)
            return flat.swapaxes(1, 2)

        past = cache[layer] if cache is not None and len(cache) > layer else None
        past_tok = 0 if past is None else past[0].shape[2]
        positions = np.arange(past_tok, past_tok + new_tok)
        queries = rotate(heads(layout.Q, arch.heads), positions, arch.rope_theta)
        keys = rotate(heads(layout.K, arch.kv_heads), positions, arch.rope_theta)
        values = heads(layout.V, arch.kv_heads)
        if past is not None:
            keys, values = np.concatenate([past[0], keys], axis=2), np.concatenate([past[1], values], axis=2)
        if cache is not None:
            cache[layer:layer + 1] = [(keys, values)]
        share = arch.heads // arch.kv_heads
        scores = queries @ np.repeat(keys, share, axis=1).swapaxes(2, 3) / np.float32(arch.head_dim ** 0.5)
        future = np.arange(past_tok + new_tok)[None, :] > positions[:, None]
        mixed = softmax(np.where(future, np.float32(-np.inf), scores)) @ np.repeat(values, share, axis=1)
        return self._linear(mixed.swapaxes(1, 2).reshape(batch, new_tok, -1), layer, layout.O)

    def greedy(self, prompts: Sequence[Sequence[int]], stop: Iterable[int], most_tok: int) -> list[list[int]]:
        """The likeliest continuation of each prompt, without the stop token; equal lengths run together."""
        stops, out = set(stop), [[] for _ in prompts]  # type: tuple[set[int], list[list[int]]]
        by_length: dict[int, list[int]] = {}
        for index, prompt in enumerate(prompts):
            by_length.setdefault(len(prompt), []).append(index)
        for members in by_length.values():
            cache: list[tuple[Floats, Floats]] = []
            ids, running = np.array([prompts[index] for index in members]), set(members)
            for _ in range(most_tok):
                token = self.logits(ids, cache)[:, -1].argmax(-1)
                for index, chosen in zip(members, token.tolist(), strict=True):
                    if chosen in stops:
                        running.discard(index)
                    elif index in running:
                        out[index].append(chosen)
                if not running:
                    break
                ids = token[:, None]
        return out


def softmax(scores: Floats) -> Floats:
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    total: Floats = shifted / shifted.sum(-1, keepdims=True)
    return total


def log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(-1, keepdims=True)
    total: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return total


def continuation_logprobs(model: Llama, pairs: Sequence[tuple[list[int], list[int]]], rows: int = 64) -> list[float]:
    """Summed log-probability (nats) of each continuation after its context; padding on the right is not seen."""
    out = [0.0] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda index: len(pairs[index][0]) + len(pairs[index][1]))
    for begin in range(0, len(order), rows):
        members = order[begin:begin + rows]
        joined = [[*pairs[index][0], *pairs[index][1]] for index in members]
        longest = max(map(len, joined))
        ids = np.array([one + [0] * (longest - len(one)) for one in joined])
        scores = log_softmax(model.logits(ids))
        for row, index in enumerate(members):
            context, tail = pairs[index]
            at = np.arange(len(context) - 1, len(context) - 1 + len(tail))
            out[index] = float(scores[row, at, tail].sum(dtype=np.float64))
    return out
