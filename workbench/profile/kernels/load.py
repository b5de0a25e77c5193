"""A folder of kernel tables and a model's config.json become a profile."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.hardware.architecture import Architecture
from workbench.hardware.model_config import from_config
from workbench.profile.kernels.attention import Attention, read_attention
from workbench.profile.kernels.curve import Curve, read_curves
from workbench.profile.kernels.folder import check_folder, check_model, read_meta
from workbench.profile.kernels.link import Link
from workbench.profile.kernels.model import Kernel, Kernels
from workbench.profile.kernels.moe import Experts, read_experts
from workbench.profile.kernels.skew import Skew, read_skew
from workbench.profile.profile import Parallel, Profile, Subject
from workbench.profile.ranges import Range, Ranges

# What a step that is launched kernel by kernel takes beyond its kernels; a step that replays a captured graph showed
# nothing of the kind. The one number estimated on a run (vLLM 0.19, Llama-3.1-8B on an RTX PRO 6000, 300 requests:
# docs/fidelity.md), to make its mean end-to-end time right; then the same for every accelerator and model.
HOST_NS = 4_000_000
GRAPH_TOK = 512  # vLLM captures graphs for steps of up to min(2 max_num_seqs, 512) tokens
ONCE = ("embedding", "final_layernorm")
TWICE = ("layernorm",)  # before attention and before the MLP
DENSE_MLP = ("gate_up_proj", "act_fn", "down_proj")
ACTIVATION_BYTES = 2  # bf16 between layers


def load(
    perf: Path, model_config: Path, tp: int = 1, *, ranks: int = 1, expert_parallel: bool = False,
    link: Link | None = None, host_ns: int = HOST_NS, graph_tok: int = GRAPH_TOK,
) -> Profile:
    """Read `perf`/tpN. `ranks` data-parallel ranks share the experts of a mixture and step together; with
    `expert_parallel` whole experts are dealt to all tp x ranks accelerators, else each is cut in `tp` parts.

    Raises UsageError for what does not go together, Failure for a table that is damaged.
    """
    perf = perf.absolute()  # its name and its parents' are those of variant, model and accelerator
    architecture = from_config(model_config)
    folder, meta = check_folder(perf, tp), read_meta(perf)
    _check(architecture, tp, ranks, link)
    check_model(perf, architecture)
    dense = read_curves(folder / "dense.csv", "tokens")
    sequences = read_curves(folder / "per_sequence.csv", "sequences")
    _borrow(perf / "tp1", dense, sequences)
    attention = read_attention(folder / "attention.csv")
    skew, skew_note = _skew(folder / "skew_fit.csv", meta, tp)
    shards = tp * ranks if expert_parallel and architecture.moe else 1
    experts, expert_note = _experts(perf, architecture, tp, ranks, shards)
    model = Kernels(
        layers=architecture.layers, hidden_bytes=architecture.hidden * ACTIVATION_BYTES,
        over_tokens=_over_tokens(dense, architecture),
        over_sequences={name: Kernel(times=1, curve=curve) for name, curve in sequences.items()},
        attention=attention, skew=skew, experts=experts, expert_layers=architecture.moe_layers, tp=tp, ranks=ranks,
        link=link if tp * ranks > 1 else None, host_ns=host_ns, graph_tok=graph_tok,
    )
    filled = attention.filled
    holes = (f"attention: {filled.measured} of {filled.cells} cells measured ({filled.measured / filled.cells:.0%}), "
             f"{filled.between} filled between them or where an axis does not matter, {filled.beyond} beyond them")
    gpu = str(meta.get("gpu") or perf.parent.parent.parent.name)
    return Profile(
        source="imported", model=model, ranges=_ranges(attention, sequences),
        subject=Subject(engine="vllm", engine_version=str(meta.get("vllm_version") or ""),
                        model=str(meta.get("model") or architecture.name), quant=perf.name, hardware=gpu, gpu=gpu,
                        gpus=tp * ranks),
        parallel=Parallel(tp=tp, dp=ranks, ep=shards),
        provenance={"origin": "LLMServingSim kernel tables", "folder": "/".join(perf.parts[-4:]), "attention": holes,
                    "skew": skew_note, "experts": expert_note, "host_ns": host_ns,
                    "profiled_at": str(meta.get("profiled_at") or "")},
        thin=tuple(text for text in (holes, skew_note, expert_note) if text),
    )


def _check(architecture: Architecture, tp: int, ranks: int, link: Link | None) -> None:
    if ranks > 1 and not architecture.moe:
        raise UsageError(f"{architecture.name}: {ranks} lock-step ranks share experts, and this model has none; "
                         "simulate replicas instead")
    if tp * ranks > 1 and link is None:
        raise UsageError(f"tensor parallelism {tp} with {ranks} ranks needs the link's bandwidth and latency")


def _borrow(tp1: Path, dense: dict[str, Curve], sequences: dict[str, Curve]) -> None:
    """Kernels that do not depend on the split (norms, sampler) may be there for one accelerator only."""
    for have, file, axis in ((dense, "dense.csv", "tokens"), (sequences, "per_sequence.csv", "sequences")):
        for name in ("layernorm", "final_layernorm", "sampler"):
            if name not in have and (tp1 / file).is_file():
                found = read_curves(tp1 / file, axis)
                have.update({key: found[key] for key in (name,) if key in found})


def _over_tokens(dense: Mapping[str, Curve], architecture: Architecture) -> dict[str, Kernel]:
    kernels: dict[str, Kernel] = {}
    for name, curve in dense.items():
        layers = architecture.layers
        if name in DENSE_MLP and not architecture.shared_ff:
            layers -= architecture.moe_layers
        times = 1 if name in ONCE else layers * (2 if name in TWICE else 1)
        if times:
            kernels[name] = Kernel(times=times, curve=curve)
    return kernels


def _skew(path: Path, meta: Mapping[str, Any], tp: int) -> tuple[Skew, str]:
    """The table counts wherever it is there, also where meta.yaml was written by a later run that measured no skew."""
    block = meta.get("skew_fit")
    per_tp = block.get("per_tp") if isinstance(block, dict) else None
    entry = (per_tp.get(tp) or per_tp.get(str(tp)) or {}) if isinstance(per_tp, dict) else {}
    default = entry.get("alpha_default") if isinstance(entry, dict) else None
    known = default if isinstance(default, int | float) and not isinstance(default, bool) else None
    if not path.is_file():
        return Skew(default=round((known or 0.0) * 10_000)), "skew: not measured; decodes count at their mean context"
    skew = read_skew(path, known)
    disabled = isinstance(block, dict) and block.get("enabled") is False
    return skew, "skew: meta.yaml says it was not measured, the table that is there is used" if disabled else ""


def _experts(
    perf: Path, architecture: Architecture, tp: int, ranks: int, shards: int
) -> tuple[Experts | None, str]:
    """The tables are of whole experts on one accelerator. Dealt out they are used as they are; cut in parts each
    accelerator is taken to need its part of the time, unless that was measured."""
    if not architecture.moe:
        return None, ""
    parts = tp * ranks if shards == 1 else 1
    own, one = perf / f"tp{parts}" / "moe.csv", perf / "tp1" / "moe.csv"
    path = own if own.is_file() else one
    if not path.is_file():
        raise UsageError(f"{perf.name}: no moe.csv under tp{parts} or tp1, and {architecture.name} has experts")
    experts = read_experts(path, architecture.experts, architecture.experts_per_tok, shards)
    evenly = "experts: every one taken to be chosen equally often; a trained router reaches somewhat fewer at once"
    if parts > 1 and path == one:
        return experts.split(parts), f"{evenly}; cut in {parts} parts, not measured: whole ones' time over {parts}"
    return experts, evenly


def _ranges(attention: Attention, sequences: Mapping[str, Curve]) -> Ranges:
    """Bounds of the attention grid, which is the narrowest table, and of the kernels per sequence."""
    prompts = min([curve.at[-1] for curve in sequences.values()], default=attention.decode_n[-1])
    most = attention.chunk_tok[-1], attention.past_tok[-1], attention.decode_n[-1], attention.context_tok[-1]
    bounds = {"prefill_tok": most[0], "prefill_past_max_tok": most[1], "decode_n": most[2],
              "decode_ctx_sum_tok": most[2] * most[3], "prefill_n": prompts, "ubatch_n": 1}
    low = {"decode_ctx_sum_tok": 16}
    cells = attention.filled.measured
    return Ranges(
        bounds={name: Range(low=low.get(name, 1), high=high) for name, high in bounds.items() if high},
        regions={"decode": cells, "prefill": cells, "mixed": cells},
    )
