"""Perplexity of an export as onnxruntime-genai loads it: a token at a time, for only the last logits are returned."""

import math
from itertools import pairwise
from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    import numpy as np
    import onnxruntime_genai as og

    og.disable_telemetry_events()
    common.tell("loading")
    model = og.Model(asked["model"])
    total, count, rows = 0.0, 0, asked["probe"]
    for number, row in enumerate(rows):
        common.tell("scoring", number, len(rows))
        given = og.GeneratorParams(model)
        given.set_search_options(max_length=len(row) + 1, do_sample=False)
        generator = og.Generator(model, given)
        for token, following in pairwise(row):
            generator.append_tokens(np.array([token], dtype=np.int32))
            logits = np.asarray(generator.get_logits(), dtype=np.float64).reshape(-1)
            top = logits.max()
            total += top + math.log(np.exp(logits - top).sum()) - logits[following]
            count += 1
    return common.finish(asked, "onnxruntime-genai", nats=total / count)
