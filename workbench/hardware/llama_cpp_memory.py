"""What llama.cpp takes: the file's weights, a KV cache for every slot from the start, and one compute buffer.

The compute buffer is what its graph of one ubatch holds at once. The terms were read off the buffers that its log
reports (CPU build, two models, flash attention on and off: tests/hardware/test_llama_cpp_memory.py); on a GPU it may
fuse more and take less. The vocabulary's term: an 8B Llama 3 on CUDA reports 258.5 MiB for 512 tokens, which is its
128,256 logits and its residual stream in 32 bits.
"""

from workbench.hardware.architecture import Architecture
from workbench.hardware.memory import RUNTIME_BYTES

F32, F16 = 4, 2
CELLS_STEP = 256  # a cache has a multiple of so many cells


def kv_cells(context_tok: int) -> int:
    """Cells of one slot's cache."""
    return -(-context_tok // CELLS_STEP) * CELLS_STEP


def kv_cache_bytes(architecture: Architecture, context_tok: int, slots: int, kv_type: str = "f16",
                   ubatch_tok: int = 512) -> int:
    """Reserved at start for all slots; a windowed layer keeps its window and one ubatch more."""
    return round(slots * architecture.kv_bytes(kv_cells(context_tok), kv_type, slack_tok=ubatch_tok))


def compute_buffer_bytes(architecture: Architecture, context_tok: int, ubatch_tok: int = 512, *,
                         flash_attention: bool = True) -> int:
    """The largest of three moments of one ubatch, and the attention mask beside it."""
    wide, cells = architecture.hidden, kv_cells(context_tok)
    width = max(architecture.ff if architecture.moe_layers < architecture.layers else 0,
                architecture.experts_per_tok * architecture.expert_ff)
    feed_forward = F32 * ubatch_tok * (3 * width + 5 * wide)
    logits = F32 * ubatch_tok * (architecture.vocab + wide)
    scores = 0 if flash_attention else F32 * ubatch_tok * (architecture.heads * cells + 7 * wide)
    mask = (F16 if flash_attention else F32) * ubatch_tok * cells
    return max(feed_forward, logits, scores) + mask


def terms(architecture: Architecture, quant: str, context_tok: int, slots: int, kv_type: str = "f16", *,
          memory_bytes: int, ubatch_tok: int = 512, flash_attention: bool = True) -> dict[str, int]:
    """Bytes on one device, taken off its memory in this order; `left` is below 0 where it does not fit."""
    found = {
        "memory": memory_bytes, "weights": -architecture.weight_bytes(quant),
        "kv_cache": -kv_cache_bytes(architecture, context_tok, slots, kv_type, ubatch_tok),
        "compute_buffer": -compute_buffer_bytes(architecture, context_tok, ubatch_tok, flash_attention=flash_attention),
        "runtime": -RUNTIME_BYTES,
    }
    return found | {"left": sum(found.values())}
