"""A pickled checkpoint's tensors as safetensors: torch's reader of plain tensors only, which runs no other code."""

import pickle
from pathlib import Path
from typing import Any

from workbench.models.quantise.children import common

WRAPPED = ("state_dict", "model_state_dict", "model")  # where training frameworks keep the weights
SECOND = "lm_head.weight"  # of two names for one tensor the one that goes


def main(order: Path) -> int:
    asked = common.read(order)
    common.tell("reading")
    from safetensors.torch import save_file

    weights: dict[str, Any] = {}
    for name in asked["files"]:
        found = _weights(Path(name))
        if isinstance(found, str):
            return common.finish(asked, "torch", "safetensors", refused=f"{Path(name).name}: {found}")
        weights |= found
    seen: set[int] = set()
    for name in sorted(weights, key=lambda name: name == SECOND):  # what is shared is stored once
        if (place := weights[name].data_ptr()) in seen:
            del weights[name]
        seen.add(place)
    common.tell("writing")
    save_file({name: value.contiguous() for name, value in weights.items()}, asked["out"], metadata={"format": "pt"})
    return common.finish(asked, "torch", "safetensors")


def _weights(path: Path) -> dict[str, Any] | str:
    """Tensors by name, or why there are none."""
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first = next((line.strip() for line in str(error).splitlines() if "nsupported" in line or "blocked" in line),
                     str(error).partition("\n")[0].strip())
        return f"torch's reader of plain tensors refuses it, and nothing of it was run: {first[:160]}"
    for key in WRAPPED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        return f"holds a {type(found).__name__}, not tensors by name"
    other = next((name for name, value in found.items() if not isinstance(value, torch.Tensor)), None)
    if other is not None:
        kind = type(found[other]).__name__
        return f"{str(other)[:60]!r} is of type {kind}, not a tensor; save the model's state_dict alone"
    return found
