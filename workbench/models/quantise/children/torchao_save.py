"""torchao: weight-only int8, quantised while transformers loads it, saved as safetensors."""

from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    common.tell("loading")
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    original = common.mean_nats(common.load(asked["model"]), asked["probe"])
    common.tell("quantising")
    config = TorchAoConfig(Int8WeightOnlyConfig())
    model = common.load(asked["model"], quantization_config=config)  # in F16 its scales gave NaN on a CPU (0.18)
    expected = common.mean_nats(model, asked["probe"])
    common.tell("saving")
    model.save_pretrained(asked["out"])
    return common.finish(asked, "torchao", "transformers", "torch", original_nats=original, expected_nats=expected)
