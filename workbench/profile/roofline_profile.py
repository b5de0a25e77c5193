"""A roofline as a profile: its grid, its ranges, the rules of the engine, what is thin and what was assumed."""

from dataclasses import asdict
from typing import Any

from workbench.hardware import formats
from workbench.hardware.accelerators import Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.memory import Derived, Split, kv_blocks
from workbench.profile.profile import Parallel, Profile, Subject
from workbench.profile.ranges import Range, Ranges
from workbench.profile.roofline import (
    NEW_TOK,
    PAST_TOK,
    SEQS,
    STEP_N,
    THROUGH_HOST_FRAC,
    TOKENS,
    Efficiency,
    Roofline,
    assumed,
)
from workbench.profile.samples import Region

SLOTS = 8  # of llama.cpp's server, a choice


def profile(
    accelerator: Accelerator, architecture: Architecture, quant: str = "bf16", *, tp: int = 1, ep: int = 1,
    kv_type: str = "auto", utilisation: float = 0.9, efficiency: Efficiency | None = None,
) -> Profile:
    """Raises Failure where the model does not fit, UsageError where it does not split."""
    split = Split(tp=tp, ep=ep)
    effort = efficiency or assumed(accelerator)
    room = kv_blocks(accelerator, architecture, quant, tp, 16, utilisation, ep=ep, kv_type=kv_type, max_seqs=SEQS,
                     max_batched_tok=_batched_tok(accelerator))
    found = Roofline(accelerator, architecture, quant, kv_type, split, effort)
    return Profile(
        source="roofline",
        subject=Subject(model=architecture.name, quant=quant, kv_type=kv_type, gpu=accelerator.name, gpus=tp,
                        hardware=f"{tp} x {accelerator.name}"),
        parallel=Parallel(tp=tp, ep=ep), model=found.grid(), ranges=_ranges(room), kv_blocks=room.blocks,
        block_tok=room.block_tok, rules=_rules(accelerator, room.blocks), thin=_thin(accelerator, architecture, tp),
        provenance={"roofline": _provenance(accelerator, architecture, quant, effort, room)},
    )


def _ranges(room: Derived) -> Ranges:
    """Where the formulas were written into the table; nothing was measured."""
    regions: dict[Region, int] = {"prefill": len(TOKENS) + len(NEW_TOK) * len(PAST_TOK), "decode": len(STEP_N),
                                  "mixed": len(TOKENS)}
    ends = {"prefill_tok": TOKENS[-1], "prefill_n": 64, "prefill_past_max_tok": PAST_TOK[-1], "decode_n": STEP_N[-1],
            "decode_ctx_sum_tok": room.capacity_tok, "ubatch_n": 1}
    return Ranges(bounds={name: Range(low=1, high=high) for name, high in ends.items()}, regions=regions)


def _rules(accelerator: Accelerator, blocks: int) -> dict[str, Any]:
    """As vLLM starts on it, or llama.cpp's server where vLLM does not run."""
    if accelerator.kind in ("apple", "cpu"):
        return {"engine": "llama.cpp", "slots": SLOTS, "n_batch": 512, "n_ubatch": 512,
                "ctx_per_slot_tok": min(8192, blocks * 16 // SLOTS)}
    return {"engine": "vllm", "kv_blocks": blocks, "block_tok": 16, "max_num_seqs": SEQS,
            "max_num_batched_tokens": _batched_tok(accelerator)}


def _batched_tok(accelerator: Accelerator) -> int:
    """vLLM's default for a server: more on large cards, but not on the A100."""
    return 8192 if accelerator.visible_gib >= 70 and not accelerator.name.startswith("A100") else 2048


def _thin(accelerator: Accelerator, architecture: Architecture, tp: int) -> tuple[str, ...]:
    found = ["nothing was measured: datasheet peaks times assumed fractions", "no time of the host between iterations"]
    if accelerator.flops_basis == "derived":
        found.append("arithmetic peak derived from units and clock, not printed by the maker")
    if tp > 1 and accelerator.link.startswith("PCIe"):
        found.append("peers are assumed under one PCIe switch; through host memory collectives take four to five times"
                     f" as long (link_frac {THROUGH_HOST_FRAC:g})")
    if architecture.moe:
        found.append("experts are chosen evenly: real routers are skewed")
    if accelerator.kind in ("apple", "cpu", "amd"):
        found.append("low-bit formats are computed as if unpacking were free")
    return tuple(found)


def _provenance(accelerator: Accelerator, architecture: Architecture, quant: str, efficiency: Efficiency,
                room: Derived) -> dict[str, Any]:
    return {
        "accelerator": {"name": accelerator.name, "source": accelerator.source, "as_of": str(accelerator.as_of),
                        "memory_bytes_per_s": accelerator.memory_bytes_per_s, "flops_basis": accelerator.flops_basis,
                        "flops_per_s": accelerator.flops(formats.find(quant).dtype),
                        "link_bytes_per_s": accelerator.link_bytes_per_s},
        "architecture": {"name": architecture.name, "source": architecture.source, "params": architecture.params},
        "efficiency": asdict(efficiency),
        "kv_blocks": {"origin": "derived", "basis": room.basis},
    }
