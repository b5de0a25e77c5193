"""Iteration times of transformers on a GPU (or CPU), with random weights made on the device; and a profile of them.

    PYTHON scripts/measure_transformers.py measure --shape meta-llama/Llama-3.1-8B --device cuda --out points.json
    .venv/bin/python scripts/measure_transformers.py profile points.json --out datasets/profiles/measured/NAME.json

`measure` needs torch and transformers and nothing of ours, so that it can be carried to a rented machine with this one
file and datasets/models/architectures.csv. Shapes are the names of that table; nothing is downloaded. What it times: a
plain forward pass with a growing KV cache (transformers' `generate`, without its sampling), in bfloat16: prompts of one
sequence, and decode steps of a batch at a context. A point that does not fit into memory is left out and said.
"""

import argparse
import csv
import json
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TABLE = Path(__file__).resolve().parent.parent / "datasets" / "models" / "architectures.csv"
PROMPTS_TOK = (16, 128, 512, 2048, 4096)
DECODES = (1, 2, 4, 8, 16, 32, 64)
CONTEXTS_TOK = (256, 2048)
STEPS, WARM_STEPS, REPEATS, SEED = 16, 4, 5, 1
KIND = "workbench.transformers-points"
MODEL_TYPES = ("llama", "qwen3")


def shape_of(name: str) -> dict[str, Any]:
    """A row of the table as transformers calls its fields."""
    with TABLE.open(encoding="utf-8", newline="") as handle:
        rows = {row["name"]: row for row in csv.DictReader(handle)}
    row = rows.get(name)
    if row is None or row["model_type"] not in MODEL_TYPES:
        known = ", ".join(key for key, value in rows.items() if value["model_type"] in MODEL_TYPES)
        raise SystemExit(f"--shape: {name!r}: not in {TABLE.name}, or of a type not built here; there are {known}")
    return {
        "model_type": row["model_type"], "vocab_size": int(row["vocab"]), "hidden_size": int(row["hidden"]),
        "num_hidden_layers": int(row["layers"]), "num_attention_heads": int(row["heads"]),
        "num_key_value_heads": int(row["kv_heads"]), "head_dim": int(row["head_dim"]),
        "intermediate_size": int(row["ff"]), "max_position_embeddings": int(row["context_tok"]),
        "tie_word_embeddings": row["tied"] == "yes",
    }


class Timed:
    """A model on a device, and how long its passes take."""

    def __init__(self, shape: dict[str, Any], device: str, threads: int) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        self.torch, self.device = torch, device
        if device == "cpu":
            torch.set_num_threads(threads)
        torch.manual_seed(SEED)
        own = dict(shape)
        config = AutoConfig.for_model(own.pop("model_type"), **own)
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            self.model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
        self.vocab = int(config.vocab_size)

    def ids(self, sequences: int, length: int) -> Any:
        return self.torch.randint(0, self.vocab, (sequences, length), device=self.device)

    def now_ns(self) -> int:
        if self.device.startswith("cuda"):
            self.torch.cuda.synchronize()
        return time.perf_counter_ns()

    def forward(self, ids: Any, past: Any = None) -> tuple[Any, int]:
        """(the grown cache, ns); logits of the last position only, as generation needs them."""
        begun = self.now_ns()
        with self.torch.inference_mode():
            out = self.model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
        return out.past_key_values, self.now_ns() - begun

    def prompt_ns(self, length: int, repeats: int) -> list[int]:
        self.forward(self.ids(1, length))  # kernels are chosen and memory is taken here
        return [self.forward(self.ids(1, length))[1] for _ in range(repeats)]

    def decode_ns(self, sequences: int, context: int, steps: int) -> list[int]:
        past, _ = self.forward(self.ids(sequences, context))
        times = []
        for _ in range(WARM_STEPS + steps):
            past, ns = self.forward(self.ids(sequences, 1), past)
            times.append(ns)
        return times[WARM_STEPS:]


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Everything that was seen, with what it was seen on."""
    shape = json.loads(asked.config) if asked.config else shape_of(asked.shape)
    timed = Timed(shape, asked.device, asked.threads)
    torch = timed.torch
    prompts, decodes, left_out = [], [], []
    for length in asked.prompts:
        try:
            times = timed.prompt_ns(length, asked.repeats)
        except torch.OutOfMemoryError:
            left_out.append(f"prompt of {length} tokens: out of memory")
            continue
        prompts.append({"new_tok": length, "ns": statistics.median(times), "all_ns": times})
    for context in asked.contexts:
        for sequences in asked.decodes:
            try:
                times = timed.decode_ns(sequences, context, asked.steps)
            except torch.OutOfMemoryError:
                left_out.append(f"{sequences} sequences of {context} tokens: out of memory")
                continue
            low = context + WARM_STEPS + 1
            decodes.append({"decodes": sequences, "low_tok": low, "high_tok": low + asked.steps - 1,
                            "ns": statistics.median(times), "all_ns": times})
    return {
        "kind": KIND, "schema": 1, "model": asked.shape if not asked.config else "custom", "shape": shape,
        "dtype": "bfloat16", "weights": f"random, seed {SEED}, initialised on the device", "prompts": prompts,
        "decodes": decodes, "left_out": left_out, **surroundings(torch, asked),
    }


def surroundings(torch: Any, asked: argparse.Namespace) -> dict[str, Any]:
    import transformers

    cuda = asked.device.startswith("cuda")
    return {
        "started_at_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "device": asked.device,
        "gpu": torch.cuda.get_device_name(torch.device(asked.device)) if cuda else "",
        "cuda": torch.version.cuda if cuda else None, "threads": None if cuda else asked.threads,
        "torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version(),
        "processor": platform.machine(),
    }


def profile(asked: argparse.Namespace) -> None:
    """The points as a profile, measured; needs the workbench."""
    from workbench.files import read_json
    from workbench.profile.points import DecodePoint, PromptPoint, fit
    from workbench.profile.profile import Profile, Subject, write

    seen = read_json(asked.points)
    if not isinstance(seen, dict) or seen.get("kind") != KIND:
        raise SystemExit(f"{asked.points.name}: not written by `measure`")
    prompts = [PromptPoint(1, item["new_tok"], 0, item["ns"], len(item["all_ns"])) for item in seen["prompts"]]
    decodes = [DecodePoint(item["decodes"], item["low_tok"], item["high_tok"], item["ns"], len(item["all_ns"]))
               for item in seen["decodes"]]
    found = fit(prompts, decodes, asked.points.name)
    gpu = seen["gpu"]
    write(Profile(
        source="measured", model=found.grid, ranges=found.ranges,
        thin=("forward passes only: no server, no sampling, no network",
              "prompts beside decodes were not measured: their times are added up", *seen["left_out"], *found.thin),
        subject=Subject(engine="transformers", engine_version=seen["transformers"], model=seen["model"], quant="BF16",
                        kv_type="bf16", hardware=gpu or f"{seen['processor']}, {seen['threads']} threads", gpu=gpu,
                        gpus=1 if gpu else 0),
        provenance={key: seen[key] for key in ("started_at_utc", "weights", "shape", "torch", "cuda", "python")}
        | {"reproduces": found.reproduces, "steps_of_a_decode_point": len(seen["decodes"][0]["all_ns"])},
    ), asked.out)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    todo = parser.add_subparsers(dest="todo", required=True)
    first = todo.add_parser("measure", help="time forward passes")
    first.add_argument("--shape", default="meta-llama/Llama-3.1-8B", help="a name of architectures.csv")
    first.add_argument("--config", default="", help="JSON of a shape of your own, in transformers' words")
    first.add_argument("--device", default="cuda")
    first.add_argument("--threads", type=int, default=1, help="on a CPU")
    first.add_argument("--prompts", type=numbers, default=PROMPTS_TOK, help="lengths, with commas")
    first.add_argument("--decodes", type=numbers, default=DECODES, help="sequences in a batch")
    first.add_argument("--contexts", type=numbers, default=CONTEXTS_TOK, help="tokens before the first step")
    first.add_argument("--steps", type=int, default=STEPS)
    first.add_argument("--repeats", type=int, default=REPEATS)
    first.add_argument("--out", type=Path, required=True)
    second = todo.add_parser("profile", help="make a profile of what was timed")
    second.add_argument("points", type=Path)
    second.add_argument("--out", type=Path, required=True)
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    asked = arguments(words)
    if asked.todo == "profile":
        profile(asked)
    else:
        asked.out.write_text(json.dumps(measure(asked), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
