"""Greedy answers of one model with an option and without: speculative decoding, or another type of KV cache."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from engines import Running, launch
from engines.lookup import find as find_engine
from engines.lookup import require
from workbench.errors import Failure, UsageError
from workbench.flows.engine_models import model_for
from workbench.flows.launched import provenance_of
from workbench.models import tokenizer
from workbench.models.shipped import ModelFile
from workbench.paths import datasets
from workbench.quality.distance.greedy import Agreement, Answer, agreement, of_llama_cpp, of_vllm
from workbench.quality.http import Http

KIND, SCHEMA = "workbench.quality-greedy", 1
ANSWER_S = 120.0
OURS: dict[str, dict[str, Any]] = {"llama.cpp": {"slots": 1}, "vllm-cpu": {"dtype": "float32"}, "vllm": {}}
Variants = Mapping[str, Mapping[str, Any]]  # name -> options of the engine
OnVariant = Callable[[str], None]


def prompts_of(path: Path | None, model: ModelFile, most: int) -> tuple[tuple[int, ...], ...]:
    """Column `prompt` of a JSONL file, in the model's tokens; the shipped world's code task unless one is named."""
    file = path or datasets() / "tiny_world" / "code.jsonl"
    words = tokenizer.load(model.tokenizer_path)
    try:
        lines = [line for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()][:most]
        return tuple(tuple(words.encode(str(json.loads(line)["prompt"]), special=True)) for line in lines)
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file; give a JSONL file with a column 'prompt'") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file.name}: not JSON objects with a column 'prompt': {error}") from None


def variants(
    engine: str, speculative: Sequence[str], kv_types: Sequence[str], draft: str, tokens: int,
) -> dict[str, dict[str, Any]]:
    """What is held against the plain engine. `draft` is MODEL or MODEL:QUANT, as the engine reads it."""
    found: dict[str, dict[str, Any]] = {}
    for method in speculative:
        asked: dict[str, Any] = {"method": method, "tokens": tokens}
        if method == "draft":
            name, _, quant = draft.partition(":")
            if not name:
                raise UsageError("--speculative draft: name the small model with --draft MODEL or MODEL:QUANT")
            asked["model"] = str(model_for(find_engine(engine), name, quant).path)
        found[f"{method} of {tokens}" + (f", {draft}" if method == "draft" else "")] = {"speculative": asked}
    found |= {f"KV {kv_type}": {"kv_type": kv_type} for kv_type in kv_types}
    if not found:
        raise UsageError("nothing to compare: give --speculative or --kv-type")
    return found


def greedy(
    engine: str, model: str, quant: str, asked: Variants, *, prompts: Path | None = None, most_prompts: int = 60,
    most_tok: int = 64, on_variant: OnVariant | None = None,
) -> dict[str, Any]:
    """Each variant's answers against the plain engine's, prompt by prompt. Raises Failure where the plain engine does
    not agree with itself: then nothing can be said of the variants."""
    if engine not in OURS:
        raise UsageError(f"engine {engine!r}: greedy answers as token ids come from {', '.join(OURS)}")
    record = find_engine(engine)
    require(record)
    file = model_for(record, model, quant)
    ids = prompts_of(prompts, file, most_prompts)
    ask = partial(_answers, engine, file, ids, most_tok)
    with tempfile.TemporaryDirectory(prefix="workbench-greedy-") as logs:
        _tell(on_variant, "plain")
        with launch(record, file, OURS[engine], log_dir=Path(logs)) as running:
            base, again = ask(running, margins=True), ask(running, margins=True)
            about = provenance_of(running, file)
            version = running.version or ""
        itself = agreement(base, again)
        if itself.decided:
            raise Failure(f"{engine}: greedy answers to {itself.decided} of {itself.n} prompts change from one time to "
                          "the next; nothing can be said of speculation")
        rows = []
        for name, options in asked.items():
            _tell(on_variant, name)
            with launch(record, file, OURS[engine] | dict(options), log_dir=Path(logs)) as running:
                found = _counted(agreement(base, ask(running, margins=False)), running)
            rows.append({"variant": name, **found.as_dict()})
    return {"kind": KIND, "schema": SCHEMA, "engine": engine, "version": version, "model": model, "quant": file.quant,
            "weights_id": file.weights_id, "most_tok": most_tok, "rows": rows, "provenance": about.as_dict()}


def _tell(on_variant: OnVariant | None, name: str) -> None:
    if on_variant is not None:
        on_variant(name)


def _answers(
    engine: str, file: ModelFile, prompts: Sequence[tuple[int, ...]], most_tok: int, running: Running, *, margins: bool,
) -> list[Answer]:
    with Http(running.url, running.api_key, ANSWER_S) as http:
        if engine == "llama.cpp":
            return [of_llama_cpp(http, prompt, most_tok, margins=margins) for prompt in prompts]
        return [of_vllm(http, file.name, prompt, most_tok, margins=margins) for prompt in prompts]


def _counted(found: Agreement, running: Running) -> Agreement:
    """With the engine's own counters where its answers carry none."""
    told = running.metrics()
    if found.drafted_tok or "drafted_tok" not in told:
        return found
    return replace(found, drafted_tok=int(told["drafted_tok"]), accepted_tok=int(told["accepted_tok"]))
