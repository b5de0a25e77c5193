"""Train the shipped model: `python -m workbench.models.training.train --out DIR`.

About 15 CPU minutes on one thread. Deterministic for one build of torch on one kind of CPU, not across them.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from workbench.models.documents import SHARES, Documents
from workbench.models.folder import open_folder
from workbench.models.forward import Llama
from workbench.models.tokenizer import load as tokenizer_of
from workbench.models.training.batches import OPEN_ROWS_FRAC, OUTSIDE_WEIGHT, Batches
from workbench.models.training.bpe import save_tokenizer, train_tokenizer
from workbench.models.training.muon import Muon
from workbench.models.training.score import score
from workbench.models.weights import source_id
from workbench.models.world import WORLD_SEED, World

DECLARED_CONTEXT_TOK = 4096


@dataclass(frozen=True, slots=True)
class Recipe:
    """What was chosen; goes into train.json as it is."""

    steps: int = 1300
    rows: int = 8
    context_tok: int = 256
    hidden: int = 256
    layers: int = 3
    feed_forward: int = 512
    heads: int = 4
    kv_heads: int = 2
    muon_rate: float = 5e-3
    adamw_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup_steps: int = 30
    seed: int = 0


def build(recipe: Recipe, vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(LlamaConfig(**described(recipe, vocabulary) | {"dtype": "float32"}))


def optimisers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    inner = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    rest = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    return [
        Muon(inner, lr=recipe.muon_rate, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(rest, lr=recipe.adamw_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate_frac(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return min(1.0, (step + 1) / recipe.warmup_steps) * (0.02 + 0.98 * cosine)


def train(recipe: Recipe, model: LlamaForCausalLM, batches: Batches) -> float:
    """CPU seconds used."""
    began_s, steppers = time.process_time(), optimisers(model, recipe)
    full_rates = [stepper.param_groups[0]["lr"] for stepper in steppers]
    model.train()
    for step in range(recipe.steps):
        for stepper, full in zip(steppers, full_rates, strict=True):
            stepper.param_groups[0]["lr"] = full * rate_frac(step, recipe)
        ids, weights, mask = batches.next()
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        loss = (losses * weight).sum() / weight.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        if step % 20 == 0 or step == recipe.steps - 1:
            answers = losses[weight == 1.0].mean().item()
            print(f"step {step:4d}  loss {loss.item():.3f}  answers {answers:.3f}  "
                  f"{time.process_time() - began_s:.0f} CPU-s", flush=True)
    return time.process_time() - began_s


def described(recipe: Recipe, vocabulary: int) -> dict[str, Any]:
    """config.json: what transformers, vLLM and our converter read. `rope_theta` is there twice: the key moved."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float16",
        "vocab_size": vocabulary, "hidden_size": recipe.hidden, "intermediate_size": recipe.feed_forward,
        "num_hidden_layers": recipe.layers, "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.kv_heads, "head_dim": recipe.hidden // recipe.heads,
        "max_position_embeddings": DECLARED_CONTEXT_TOK, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "initializer_range": 0.02,
        "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "use_cache": True,
    }


def save(model: LlamaForCausalLM, recipe: Recipe, folder: Path) -> None:
    """F16 safetensors without the tied copy, config.json, generation_config.json."""
    weights = {
        name: weight.detach().to(torch.float16).contiguous()
        for name, weight in sorted(model.state_dict().items())
        if name != "lm_head.weight"
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = described(recipe, model.config.vocab_size)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    generation = {"bos_token_id": 0, "eos_token_id": [0, 2], "pad_token_id": 0, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=1) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__, "safetensors": safetensors.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    arguments = parser.parse_args()
    recipe = Recipe(steps=arguments.steps)
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    world = World()
    tokenizer = train_tokenizer(world, recipe.seed)
    save_tokenizer(tokenizer, arguments.out, DECLARED_CONTEXT_TOK)
    model = build(recipe, tokenizer.get_vocab_size())
    print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters", flush=True)
    documents = Documents(world, "training", recipe.seed)
    cpu_s = train(recipe, model, Batches(documents, tokenizer, recipe.rows, recipe.context_tok, recipe.seed))
    save(model, recipe, arguments.out)
    report = {
        "recipe": asdict(recipe), "world_seed": WORLD_SEED, "document_shares": SHARES,
        "weight_outside_answers": OUTSIDE_WEIGHT, "open_rows_frac": OPEN_ROWS_FRAC,
        "declared_context_tok": DECLARED_CONTEXT_TOK, "versions": versions(), "training_cpu_s": round(cpu_s),
    }
    print(f"trained in {cpu_s:.0f} CPU-s; scoring the F16 weights", flush=True)
    folder = open_folder(arguments.out)
    scores = score(Llama(folder.arch, folder.tensors), tokenizer_of(arguments.out), world)
    report |= {"params": folder.arch.params, "source_id": source_id(folder.tensors), "scores_f16": asdict(scores)}
    (arguments.out / "train.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"cloze {scores.cloze:.3f} (n={scores.cloze_n}), four-choice {scores.four_choice:.3f} "
          f"(n={scores.four_choice_n}), pass@1 {scores.pass_at_1:.3f} (n={scores.pass_at_1_n})")


if __name__ == "__main__":
    main()
