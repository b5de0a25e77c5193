"""What a check returns, and what several of them ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from workbench.errors import UsageError
from workbench.hardware import accelerators, models
from workbench.hardware.accelerators import GIB
from workbench.hardware.architecture import Architecture
from workbench.hardware.memory import Split

# holds; incomplete: true, and leads astray; wrong; missing: the book gives no number, the register does
Verdict = Literal["holds", "incomplete", "wrong", "missing"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
USABLE_FRAC = 0.9  # of a card, before activations: the register's convention


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict and the numbers behind it, by name with unit."""

    verdict: Verdict
    numbers: Mapping[str, float]


def judged(numbers: Mapping[str, float], *, holds: bool, otherwise: Verdict = "wrong") -> Found:
    return Found("holds" if holds else otherwise, numbers)


def usable_gib(card: str, n: int = 1) -> float:
    return n * accelerators.find(card).memory_bytes * USABLE_FRAC / GIB


def weights_gib(model: str, quant: str) -> float:
    return models.find(model).weight_bytes(quant) / GIB


def room_tok(model: str, quant: str, card: str, n: int = 1) -> float:
    """Tokens of 16-bit KV beside the weights; below 0 where the weights alone do not fit."""
    found = models.find(model)
    return (usable_gib(card, n) * GIB - found.weight_bytes(quant)) / found.kv_bytes_per_tok()


def read_bytes(model: str, quant: str) -> float:
    """What one token of one request reads: the active weights."""
    found = models.find(model)
    return found.weight_bytes(quant) * found.active_params / found.params


def ceiling_tok_per_s(model: str, quant: str, card: str, n: int = 1) -> float:
    return n * accelerators.find(card).memory_bytes_per_s / read_bytes(model, quant)


def splits(model: Architecture, quant: str, tp: int) -> bool:
    try:
        Split(tp).check(model, quant)
    except UsageError:
        return False
    return True
