"""Pickled checkpoints are programs: refused, unless a user insists; then torch reads plain tensors only, elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.errors import UsageError

SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
_BESIDE = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state)(?![a-z])")  # a trainer's: no weights
REASON = ("a pickled checkpoint is a program that runs when it is opened, with your rights; fetch the model's "
          "safetensors instead, or, if you trust who made it: workbench convert MODEL --to safetensors --allow-pickle")


def found(path: Path) -> list[Path]:
    """The pickled files of a path; empty where safetensors lie beside them."""
    if path.is_file():
        return [path] if path.suffix in SUFFIXES else []
    if not path.is_dir() or any(path.glob("*.safetensors")):
        return []
    return sorted(item for item in path.iterdir()
                  if item.suffix in SUFFIXES and item.is_file() and not _BESIDE.match(item.name))


def refuse(path: Path) -> None:
    if files := found(path):
        raise UsageError(f"{files[0].name}: {REASON}")
