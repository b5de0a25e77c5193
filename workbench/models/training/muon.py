"""Muon in float32. `torch.optim.Muon` orthogonalises in bfloat16, 60 times slower on a CPU without it.

Keller Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def orthogonalise(gradients: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration on a stack of matrices; coefficients from the reference above."""
    a, b, c = 3.4445, -4.7750, 2.0315
    matrix = gradients / (gradients.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = matrix.shape[-2] > matrix.shape[-1]
    if tall:
        matrix = matrix.mT
    for _ in range(steps):
        gram = matrix @ matrix.mT
        matrix = a * matrix + (b * gram + c * (gram @ gram)) @ matrix
    return matrix.mT if tall else matrix


class Muon(torch.optim.Optimizer):
    """For matrices only; matrices of one shape are orthogonalised together."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(state["momentum"], group["momentum"])
                by_shape.setdefault(weight.shape, []).append((weight, update))
            for shape, pairs in by_shape.items():
                stacked = orthogonalise(torch.stack([update for _, update in pairs]))
                scale = 0.2 * max(shape) ** 0.5  # the size of an AdamW update, so that rates carry over
                for (weight, _), update in zip(pairs, stacked, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)
