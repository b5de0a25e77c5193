"""A model whose weights are computed, written as an F16 safetensors folder that any engine reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from workbench.files import atomic, read_json, write_json
from workbench.models import layout
from workbench.models.folder import GROWN_KEY, OPTIONAL, RECIPE_KEY, ModelFolder
from workbench.models.tensors import SINGLE


def write_folder(model: ModelFolder, out: Path) -> None:
    """Its tokenizer's files and the config's other keys are copied from where the model was made from."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: model.tensors.array(name).astype(np.float16) for name in layout.shapes(model.arch)}
    with atomic(out / SINGLE) as temporary:
        save_file(weights, temporary, metadata={"format": "pt"})
    for name in ("tokenizer.json", *OPTIONAL):
        if (model.path / name).is_file():
            shutil.copyfile(model.path / name, out / name)
    config: dict[str, Any] = read_json(model.path / "config.json")
    arch = model.arch
    config |= {
        "vocab_size": arch.vocab, "hidden_size": arch.hidden, "intermediate_size": arch.feed_forward,
        "num_hidden_layers": arch.layers, "num_attention_heads": arch.heads, "num_key_value_heads": arch.kv_heads,
        "head_dim": arch.head_dim, "max_position_embeddings": arch.context_tok,
    }
    if model.origin is not None:
        base = model.origin.arch
        config[GROWN_KEY] = {"from": model.origin.name, "layers": base.layers, "feed_forward": base.feed_forward}
    if model.recipe:
        config[RECIPE_KEY] = model.recipe
    write_json(out / "config.json", config)  # last: without it the folder is not yet a model
