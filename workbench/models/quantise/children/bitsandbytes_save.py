"""bitsandbytes: quantised while transformers loads it, saved as it then is."""

from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    common.tell("loading")
    from transformers import BitsAndBytesConfig

    original = common.mean_nats(common.load(asked["model"]), asked["probe"])
    common.tell("quantising")
    config = BitsAndBytesConfig(**asked["settings"]["config"])
    model = common.load(asked["model"], dtype=common.stored_dtype(asked), quantization_config=config)
    expected = common.mean_nats(model, asked["probe"])
    common.tell("saving")
    model.save_pretrained(asked["out"])
    return common.finish(asked, "bitsandbytes", "transformers", "torch", original_nats=original, expected_nats=expected)
