"""Whether a name and a config.json can be one model. Only a clear contradiction counts: names are spelled in many ways.

What is known by name is compared by its sizes; of other names the number of parameters that they state is.
"""

import re
from collections.abc import Mapping
from typing import Any

from workbench.errors import UsageError
from workbench.hardware import architecture as architectures
from workbench.hardware.architecture import Architecture

_SIZES = ("layers", "hidden", "heads", "kv_heads", "experts")
_STATED = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z0-9])")  # "8b", not the 7b of "8x7b" or the 3b of "a3b"
_SHARDS = tuple(range(1, 33))
_NEAR = 1.6  # names round, and some count the active parameters or leave out the embeddings
# Sizes that the profiler writes into meta.yaml, of one of the shards that it measured.
_CUT = (("num_attention_heads", "heads"), ("intermediate_size", "ff"), ("vocab_size", "vocab"))


def contradiction(name: str, architecture: Architecture) -> str | None:
    """Why a model called `name` is not the one of `architecture`, or None; organisation and case do not matter."""
    last = name.rstrip("/").rsplit("/", 1)[-1].lower()
    try:
        known = architectures.find(last)
    except UsageError:
        return _of_another_size(last, architecture)
    for size in _SIZES:
        theirs, ours = getattr(known, size), getattr(architecture, size)
        if theirs != ours:
            return f"{size} is {ours} there and {theirs} in {name}"
    return None


def _of_another_size(name: str, architecture: Architecture) -> str | None:
    stated = _STATED.search(name)
    if stated is None:
        return None
    size = float(stated[1])
    for params in (architecture.params, architecture.active_params):
        if size / _NEAR <= params / 1e9 <= size * _NEAR:
            return None
    return f"it has {architecture.params / 1e9:.1f} billion parameters, and {name} says {stated[1]}"


def contradiction_of_sizes(meta: Mapping[str, Any], architecture: Architecture) -> str | None:
    """The same, from the sizes of the shard that was profiled (`hf_overrides` of meta.yaml), where they are there."""
    effective = meta.get("engine_effective")
    sizes = effective.get("hf_overrides") if isinstance(effective, dict) else None
    if not isinstance(sizes, dict):
        return None
    stated = [(key, ours, sizes[key]) for key, ours in _CUT if isinstance(sizes.get(key), int)]
    if any(all(abs(value * tp - getattr(architecture, ours)) < tp for _, ours, value in stated) for tp in _SHARDS):
        return None
    key, ours, value = next((row for row in stated if row[2] != getattr(architecture, row[1])), stated[0])
    return f"{key} is {getattr(architecture, ours)} there and {value} in each shard of the tables"
