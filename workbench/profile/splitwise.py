"""Profiles from Splitwise's measurements (Mutinifni/splitwise-sim, data/perf_model.csv): vLLM on DGX machines in 2023.

A row is one batch served alone: `prompt_time` for all prompts together, `token_time` per decode iteration, in ms.
"""

from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.hardware import accelerators, architecture, table
from workbench.hardware.memory import kv_blocks
from workbench.hardware.table import Line
from workbench.profile.imported import Origin, opened
from workbench.profile.points import DecodePoint, Fitted, PromptPoint, fit
from workbench.profile.profile import Parallel, Profile, Subject

NS_PER_MS = 1e6
WAVES = "the batch did not fit and was served in waves (end-to-end time over twice prompt + tokens)"
MODELS = {"llama2-70b": "meta-llama/Llama-2-70b"}


def load(path: Path, tp: int, hardware: str = "h100-80gb", model: str = "llama2-70b") -> Profile:
    """Of the rows of one model, one machine and one tensor-parallel degree. Raises UsageError."""
    _, origin = opened(path)
    fitted = read(path, tp, hardware, model, origin)
    shape = architecture.find(MODELS.get(model, model))
    card = accelerators.find(hardware.removesuffix("-pcap"))
    room = kv_blocks(card, shape, "f16", tp)
    widest = max(fitted.grid.step_n)
    return Profile(
        source="imported",
        subject=Subject(engine="vllm", engine_version="of 2023", model=shape.name, quant="f16", kv_type="f16",
                        hardware=f"{tp} x {hardware}", gpu=card.name, gpus=tp),
        parallel=Parallel(tp=tp), model=fitted.grid, ranges=fitted.ranges, kv_blocks=room.blocks,
        block_tok=room.block_tok, rules=_rules(room.blocks, widest), thin=(*fitted.thin, *_thin(widest)),
        provenance={"imported": origin.as_json(
            dataset="Mutinifni/splitwise-sim, data/perf_model.csv (MIT)", reproduces=fitted.reproduces,
            kv_blocks={"origin": "derived", "basis": room.basis},
        )},
    )


def read(path: Path, tp: int, hardware: str, model: str, origin: Origin) -> Fitted:
    """The points of one choice of rows, fitted."""
    rows = table.lines(path)
    if not rows:
        raise UsageError(f"{path.name}: no rows")
    prompts: list[PromptPoint] = []
    decodes: list[DecodePoint] = []
    for line in rows:
        prompt, decode = _points(line)
        if (line.text("model"), line.text("hardware"), line.whole("tensor_parallel")) != (model, hardware, tp):
            origin.leave_out("another model, machine or tensor-parallel degree")
        elif line.positive("e2e_time") > 2 * (prompt.ns + line.whole("token_size") * decode.ns) / NS_PER_MS:
            origin.leave_out(WAVES)
        else:
            prompts.append(prompt)
            decodes.append(decode)
    origin.rows = len(prompts)
    if not prompts:
        raise UsageError(f"{path.name}: no usable row of {model} on {hardware} with tensor_parallel {tp};"
                         f" there are {_choices(rows)}")
    return fit(prompts, decodes, path.name)


def _points(line: Line) -> tuple[PromptPoint, DecodePoint]:
    prompt_tok, batch = line.whole("prompt_size"), line.whole("batch_size")
    prompt_ms, token_ms = line.positive("prompt_time"), line.positive("token_time")
    # answers may end early: as many tokens as the end-to-end time has room for
    made = round((line.positive("e2e_time") - prompt_ms) / token_ms)
    made = max(1, min(line.whole("token_size"), made))
    return (PromptPoint(batch, prompt_tok, 0, prompt_ms * NS_PER_MS),
            DecodePoint(batch, prompt_tok, prompt_tok + made, token_ms * NS_PER_MS))


def _rules(blocks: int, widest: int) -> dict[str, Any]:
    return {"engine": "vllm", "kv_blocks": blocks, "block_tok": 16, "max_num_seqs": widest,
            "max_num_batched_tokens": 2048}


def _thin(widest: int) -> tuple[str, ...]:
    return (f"more than {widest} sequences, and prompts beside decodes, were not measured",
            "batches of more than one were measured at 512 tokens of prompt and 128 of answer only")


def _choices(rows: list[Line]) -> str:
    found = dict.fromkeys((line.text("model"), line.text("hardware"), line.text("tensor_parallel")) for line in rows)
    return ", ".join(f"{model} on {hardware} with {tp}" for model, hardware, tp in found)
