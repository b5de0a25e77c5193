"""gptqmodel: GPTQ on calibration rows, saved in the form that auto-gptq introduced."""

from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    common.tell("loading")
    import torch
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

    torch.manual_seed(asked["seed"])
    original = common.mean_nats(common.load(asked["model"]), asked["probe"])
    config = QuantizeConfig(device="cpu", **asked["settings"]["config"])
    model = GPTQModel.load(asked["model"], config, trust_remote_code=False)
    common.tell("quantising")
    rows = [{"input_ids": torch.tensor(row), "attention_mask": torch.ones(len(row), dtype=torch.long)}
            for row in asked["rows"]]
    model.quantize(rows, batch_size=1, backend=BACKEND.TORCH)
    common.tell("saving")
    model.save(asked["out"])
    return common.finish(asked, "gptqmodel", "transformers", "torch", original_nats=original)
