"""Does a model fit, with how many tokens of KV and how many requests of a length: on vLLM's rules or llama.cpp's.

vLLM takes what is left beside weights and activations as a pool of KV blocks; llama.cpp reserves a cache of the whole
context for every slot. Everything is bytes on the fullest rank; what is left can be below 0, what is held cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from workbench.errors import UsageError
from workbench.hardware import llama_cpp_memory
from workbench.hardware.accelerators import Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.formats import find as find_format
from workbench.hardware.memory import Split, block_bytes, held_frac, rank_terms

Engine = Literal["vllm", "llama.cpp"]
BLOCK_TOK = 16


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to run. `context_tok`: prompt and answer of one request; `requests` of them at the same time."""

    quant: str = "bf16"
    context_tok: int = 4096
    requests: int = 1
    kv_type: str = "auto"
    split: Split = Split()
    engine: Engine | None = None  # None: llama.cpp for GGUF's formats and off servers' cards, else vLLM
    utilisation: float = 0.9  # vLLM's share of the card
    max_seqs: int = 256
    max_batched_tok: int = 2048
    cuda_graph_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.context_tok, self.requests) < 1:
            raise UsageError("--context and --requests are 1 or more")
        if not 0 < self.utilisation <= 1:
            raise UsageError(f"utilisation: {self.utilisation}: a fraction of the memory, above 0 and at most 1")
        find_format(self.quant)

    def runs_on(self, card: Accelerator) -> Engine:
        """GGUF's formats are those that quantise embeddings as well, in groups."""
        found = find_format(self.quant)
        local = card.kind in ("apple", "cpu") or (found.whole and found.group > 1)
        return self.engine or ("llama.cpp" if local else "vllm")


@dataclass(frozen=True, slots=True)
class Fit:
    """`terms`: bytes on the fullest rank, in the order of the subtraction. `kv_tok`: tokens that can be held in all;
    `requests`: how many of the asked length at once; `short_bytes`: what is missing on each rank, 0 where it fits."""

    engine: Engine
    terms: Mapping[str, int]
    kv_bytes_per_tok: float
    kv_bytes_per_request: int
    kv_tok: int
    requests: int
    short_bytes: int

    @property
    def fits(self) -> bool:
        return self.short_bytes == 0


def fit(accelerator: Accelerator, architecture: Architecture, ask: Ask) -> Fit:
    """Raises UsageError where the model does not divide as asked."""
    return (_vllm if ask.runs_on(accelerator) == "vllm" else _llama_cpp)(accelerator, architecture, ask)


def request_bytes(architecture: Architecture, ask: Ask) -> int:
    """KV of one request at its full length on one rank of a paged cache, in whole blocks.

    A windowed layer keeps the blocks that its window can touch; that is steady decoding, a long prefill holds more.
    """
    blocks_tok = -(-ask.context_tok // BLOCK_TOK) * BLOCK_TOK
    held = held_frac(architecture, ask.split)
    return round(architecture.kv_bytes(blocks_tok, ask.kv_type, slack_tok=BLOCK_TOK) * held)


def _vllm(accelerator: Accelerator, architecture: Architecture, ask: Ask) -> Fit:
    terms = rank_terms(accelerator, architecture, ask.quant, ask.split, ask.utilisation, max_seqs=ask.max_seqs,
                       max_batched_tok=ask.max_batched_tok, cuda_graph_bytes=ask.cuda_graph_bytes)
    room, each = max(0, terms["kv_cache"]), request_bytes(architecture, ask)
    block = block_bytes(architecture, ask.split, BLOCK_TOK, ask.kv_type)
    tok = room // block * BLOCK_TOK if architecture.window is None else room // each * ask.context_tok
    return Fit("vllm", terms, architecture.kv_bytes_per_tok(ask.kv_type) * held_frac(architecture, ask.split), each,
               tok, room // each, max(0, each * ask.requests - terms["kv_cache"]))


def _llama_cpp(accelerator: Accelerator, architecture: Architecture, ask: Ask) -> Fit:
    if ask.split != Split():
        raise UsageError(f"{ask.quant}: llama.cpp spreads layers over cards, not tensors; use a format of vLLM "
                         "(bf16, fp8, awq ...) for --tp")
    kv_type = "f16" if ask.kv_type == "auto" else ask.kv_type
    terms = llama_cpp_memory.terms(architecture, ask.quant, ask.context_tok, ask.requests, kv_type,
                                   memory_bytes=accelerator.memory_bytes)
    each = llama_cpp_memory.kv_cache_bytes(architecture, ask.context_tok, 1, kv_type)
    room = max(0, terms["left"] - terms["kv_cache"])  # the caches are what there may be more or fewer of
    return Fit("llama.cpp", terms, architecture.kv_bytes_per_tok(kv_type), each, room // each * ask.context_tok,
               room // each, max(0, -terms["left"]))


def ceiling_tok_per_s(accelerator: Accelerator, architecture: Architecture, ask: Ask) -> float:
    """Upper bound on one request's tokens per second: active weights and half its context are read for each token."""
    split, active = ask.split, architecture.active_params / architecture.params
    read = architecture.weight_bytes(ask.quant) * active + architecture.kv_bytes(ask.context_tok // 2, ask.kv_type)
    return accelerator.memory_bytes_per_s * split.tp / read


def with_split(ask: Ask, tp: int) -> Ask:
    return replace(ask, split=Split(tp))
