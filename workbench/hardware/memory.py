"""How many KV blocks fit beside a model: memory, minus weights, minus what the engine needs, every term shown.

What is assumed about the engine is vLLM's memory profile, taken from public logs that have nothing to do with the
runs it is checked against; each constant names its log. An engine that reports its own number is always better.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.errors import Failure, UsageError
from workbench.hardware.accelerators import GIB, Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.formats import WIDE_BITS
from workbench.hardware.formats import find as find_format

# Sampling holds logits, sorted copies, indices and probabilities of every sequence at once, over the whole vocabulary
# on every rank: 1.26 GiB for 256 sequences of Llama-3-8B's 128,256 entries, TP 1 and TP 2 alike (vLLM PR 10511).
SAMPLER_BYTES_PER_ENTRY = 41.2
# Kernels, workspaces and contexts outside PyTorch on one GPU (vLLM PR 12126: 0.16 GiB), and what NCCL's buffers add
# per GPU as soon as there is a second (aiconfigurator 0.12, systems/h100_sxm.yaml: 342 to 392 MiB).
RUNTIME_BYTES = round(0.16 * GIB)
NCCL_BYTES = 392 << 20
# From vLLM 0.21 on captured graphs are taken off the KV cache (its log: "default since v0.21.0"; 0.36 to 0.58 GiB
# reported); before, they live in the part of the memory that `utilisation` leaves free.
CUDA_GRAPH_BYTES = round(0.5 * GIB)
EXPERT_GROUP = 128  # published FP8 mixtures (Qwen3, DeepSeek) scale experts by blocks of 128 x 128
DEGREES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Split:
    """How a model is spread: tensor ranks, pipeline stages, and over how many ranks the experts are dealt (1: they
    are cut by tensor like the rest)."""

    tp: int = 1
    pp: int = 1
    ep: int = 1

    def check(self, architecture: Architecture, quant: str = "bf16") -> None:
        """Refused where the model does not divide; the remedy names degrees that do."""
        name, heads, kv_heads = architecture.name, architecture.heads, architecture.kv_heads
        if min(self.tp, self.pp, self.ep) < 1:
            raise UsageError("tp, pp and ep are 1 or more")
        fits = [k for k in DEGREES if not heads % k and (not kv_heads % k or not k % kv_heads)]
        if heads % self.tp or (kv_heads % self.tp and self.tp % kv_heads):
            what = f"{heads} heads" if heads % self.tp else f"{kv_heads} KV heads"
            raise _refused(name, "tp", self.tp, what, fits)
        if self.pp > architecture.layers:
            raise UsageError(f"{name}: --pp {self.pp}: there are {architecture.layers} layers only")
        if self.ep > 1 and not architecture.moe:
            raise _refused(name, "ep", self.ep, "a dense model has no experts to deal out: the one feed-forward", [1])
        if self.ep > 1 and architecture.experts % self.ep:
            fits = [k for k in DEGREES if not architecture.experts % k]
            raise _refused(name, "ep", self.ep, f"{architecture.experts} experts", fits)
        self._check_groups(architecture, quant)

    def _check_groups(self, architecture: Architecture, quant: str) -> None:
        """A slice of a feed-forward layer holds whole groups of weights that share a scale (GGUF cuts other rows)."""
        found = find_format(quant)
        group = 1 if found.whole else found.group
        experts = EXPERT_GROUP if found.name == "fp8" else group
        if architecture.moe and self.ep == 1 and architecture.expert_ff % (self.tp * experts):
            raise UsageError(f"{architecture.name}: --tp {self.tp}: experts of width {architecture.expert_ff} do not"
                             f" cut into {self.tp} slices of whole {quant} groups of {experts}; deal them out (--ep)")
        if architecture.moe_layers < architecture.layers and architecture.ff % (self.tp * group):
            raise UsageError(f"{architecture.name}: --tp {self.tp}: a width of {architecture.ff} does not cut into"
                             f" {self.tp} slices of whole {quant} groups of {group}; use a smaller --tp")


@dataclass(frozen=True, slots=True)
class Derived:
    """A capacity that was computed, not reported. `terms`: bytes on one rank, in the order of the subtraction."""

    blocks: int
    block_tok: int
    basis: str
    terms: Mapping[str, int] = field(default_factory=dict)

    @property
    def capacity_tok(self) -> int:
        return self.blocks * self.block_tok


def weight_bytes_per_rank(architecture: Architecture, quant: str, split: Split) -> int:
    """The fullest rank: its slices of projections, tables and experts, and all the small parts."""
    found = find_format(quant)
    table_bits = found.bits if found.whole else WIDE_BITS
    small_bits = max(WIDE_BITS, found.bits) if found.whole else WIDE_BITS
    shared = (architecture.linear_params - architecture.expert_params_total) / split.tp
    experts = architecture.expert_params_total / (split.ep if split.ep > 1 else split.tp)
    doubled = max(0, split.tp // architecture.kv_heads - 1)  # KV heads that several ranks hold
    copies = 2 * architecture.layers * architecture.hidden * architecture.head_dim * doubled
    latent = architecture.latent
    if latent is not None:  # what every rank holds whole
        shared += architecture.layers * latent.down_params(architecture.hidden) * (1 - 1 / split.tp)
    tables = architecture.table_params / split.tp / (1 if architecture.tied or split.pp == 1 else 2)
    stage = ((shared + experts + copies / split.tp) * found.bits + architecture.small_params * small_bits) / split.pp
    return round((stage + tables * table_bits) / 8)


def activation_bytes(architecture: Architecture, split: Split, max_seqs: int, max_batched_tok: int) -> int:
    """The larger of two peaks: a full prefill step (residuals, gate and up, their product, in 16 bits), or sampling."""
    width = max(architecture.ff, architecture.experts_per_tok * architecture.expert_ff)
    forward = max_batched_tok * 2 * (3 * architecture.hidden + 3 * width / split.tp)
    return round(max(forward, SAMPLER_BYTES_PER_ENTRY * max_seqs * architecture.vocab))


def kv_blocks(
    accelerator: Accelerator, architecture: Architecture, quant: str = "bf16", tp: int = 1, block_tok: int = 16,
    utilisation: float = 0.9, *, pp: int = 1, ep: int = 1, kv_type: str = "auto", max_seqs: int = 256,
    max_batched_tok: int = 2048, cuda_graph_bytes: int = 0, memory_bytes: int | None = None,
) -> Derived:
    """Blocks of `block_tok` tokens on each rank of a vLLM-like engine, or a Failure that says what does not fit.

    `cuda_graph_bytes`: 0 as vLLM counted before 0.21, `CUDA_GRAPH_BYTES` after. `memory_bytes` overrides the table.
    """
    if not 0 < utilisation <= 1:
        raise UsageError(f"utilisation: {utilisation}: a fraction of the memory, above 0 and at most 1")
    if min(block_tok, max_seqs, max_batched_tok) < 1:
        raise UsageError("block_tok, max_seqs and max_batched_tok are 1 or more")
    split = Split(tp, pp, ep)
    offered = memory_bytes or accelerator.memory_bytes
    terms = rank_terms(accelerator, architecture, quant, split, utilisation, max_seqs=max_seqs,
                       max_batched_tok=max_batched_tok, cuda_graph_bytes=cuda_graph_bytes, memory_bytes=memory_bytes)
    free = terms["kv_cache"]
    block = block_bytes(architecture, split, block_tok, kv_type)
    if free < block:
        raise Failure(f"{architecture.name} in {quant} does not fit on {tp * pp} x {accelerator.name} at utilisation"
                      f" {utilisation:g}: {-free / GIB:.1f} GiB too much on each; use a smaller format or more of them")
    basis = (f"derived: {utilisation:g} x {offered / GIB:.2f} GiB - weights {-terms['weights'] / GIB:.2f} - activations"
             f" {-terms['activations'] / GIB:.2f} - runtime {-terms['runtime'] / GIB:.2f} - CUDA graphs"
             f" {cuda_graph_bytes / GIB:.2f}, over {block} bytes a block")
    return Derived(int(free // block), block_tok, basis, terms)


def rank_terms(
    accelerator: Accelerator, architecture: Architecture, quant: str, split: Split, utilisation: float, *,
    max_seqs: int, max_batched_tok: int, cuda_graph_bytes: int = 0, memory_bytes: int | None = None,
) -> dict[str, int]:
    """Bytes on the fullest rank, in the order of the subtraction; `kv_cache` is what is left, or lacking (below 0)."""
    split.check(architecture, quant)
    several = split.tp * split.pp * split.ep > 1
    if several:
        accelerator.link_rate()
    offered = memory_bytes or accelerator.memory_bytes
    terms = {
        "memory": offered, "left_free": -round(offered * (1 - utilisation)),
        "weights": -weight_bytes_per_rank(architecture, quant, split),
        "activations": -activation_bytes(architecture, split, max_seqs, max_batched_tok),
        "runtime": -(RUNTIME_BYTES + (NCCL_BYTES if several else 0)),
        "cuda_graphs": -cuda_graph_bytes,
    }
    return terms | {"kv_cache": sum(terms.values())}


def block_bytes(architecture: Architecture, split: Split, block_tok: int = 16, kv_type: str = "auto") -> int:
    """One block on one rank, every layer keeping all its tokens."""
    return round(architecture.kv_bytes_per_tok(kv_type) * held_frac(architecture, split) * block_tok)


def held_frac(architecture: Architecture, split: Split) -> float:
    """Part of a token's cache on one rank: fewer KV heads than ranks are held several times, latent vectors by all."""
    heads = 1.0 if architecture.latent is not None else max(1 / split.tp, 1 / architecture.kv_heads)
    return heads * -(-architecture.layers // split.pp) / architecture.layers


def _refused(name: str, flag: str, given: int, what: str, fits: list[int]) -> UsageError:
    return UsageError(f"{name}: --{flag} {given}: {what} cannot be split {given} ways; use {_listed(fits)}")


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:-1])) + f" or {values[-1]}" if len(values) > 1 else str(values[0])
