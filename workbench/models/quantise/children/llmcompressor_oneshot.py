"""llmcompressor: a recipe of modifiers on calibration rows, saved as compressed-tensors."""

import importlib
from pathlib import Path
from typing import Any

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    settings = asked["settings"]
    common.tell("loading")
    import torch
    from llmcompressor import oneshot


    torch.manual_seed(asked["seed"])
    model = common.load(asked["model"])
    original = common.mean_nats(model, asked["probe"])
    recipe = [_modifier(name, given) for name, given in settings["recipe"]]
    common.tell("quantising")
    given: dict[str, Any] = {"model": model, "recipe": recipe, "pipeline": settings["pipeline"]}
    if asked["rows"]:
        rows = asked["rows"]
        rows_of = importlib.import_module("datasets").Dataset  # the library, not a folder that happens to be called so
        given |= {"dataset": rows_of.from_dict({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}),
                  "num_calibration_samples": len(rows), "max_seq_length": len(rows[0])}
    oneshot(**given)
    expected = common.mean_nats(model, asked["probe"])
    common.tell("saving")
    model.to(common.stored_dtype(asked))  # the integers stay: a scale moves by less than what would change one
    model.save_pretrained(asked["out"], save_compressed=True)
    return common.finish(asked, "llmcompressor", "compressed-tensors", "transformers", "torch",
                         original_nats=original, expected_nats=expected)


def _modifier(name: str, given: dict[str, Any]) -> Any:
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier

    if name == "AWQModifier":
        from llmcompressor.modifiers.transform.awq import AWQModifier

        _unpin()
        return AWQModifier(**given)
    if name == "SmoothQuantModifier":
        from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

        return SmoothQuantModifier(**given)
    return {"GPTQModifier": GPTQModifier, "QuantizationModifier": QuantizationModifier}[name](**given)


def _unpin() -> None:
    """AWQ pins its cache in memory for a GPU; without one that call fails, and there is nothing to pin for."""
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.cuda.is_available() and hasattr(IntermediatesCache, "pin_memory"):
        IntermediatesCache.pin_memory = lambda *_given, **_more: None
