"""Perplexity of a folder as transformers loads it."""

from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    common.tell("loading")
    model = common.load(asked["model"], **asked.get("load", {}))
    common.tell("scoring")
    return common.finish(asked, "transformers", "torch", nats=common.mean_nats(model, asked["probe"]))
