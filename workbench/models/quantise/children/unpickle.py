"""A pickled checkpoint's tensors as safetensors: torch's reader of plain tensors only, which runs no other code."""

from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    common.tell("reading")
    import torch
    from safetensors.torch import save_file

    weights: dict[str, torch.Tensor] = {}
    for name in asked["files"]:
        weights |= torch.load(name, map_location="cpu", weights_only=True)
    seen: set[int] = set()
    for name, value in list(weights.items()):  # what is shared is stored once: its second name goes
        if value.data_ptr() in seen:
            del weights[name]
        seen.add(value.data_ptr())
    common.tell("writing")
    save_file({name: value.contiguous() for name, value in weights.items()}, asked["out"], metadata={"format": "pt"})
    return common.finish(asked, "torch", "safetensors")
