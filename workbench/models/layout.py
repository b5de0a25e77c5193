"""Names and shapes of a Llama's weights, in Hugging Face's and in GGUF's terms."""

from __future__ import annotations

from workbench.models.arch import Architecture

EMBED, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
Q, K, V, O = "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"  # noqa: E741 - their names
GATE, UP, DOWN = "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"
NORM_1, NORM_2 = "input_layernorm", "post_attention_layernorm"
_GGUF_PARTS = {
    Q: "attn_q", K: "attn_k", V: "attn_v", O: "attn_output", GATE: "ffn_gate", UP: "ffn_up", DOWN: "ffn_down",
    NORM_1: "attn_norm", NORM_2: "ffn_norm",
}
_GGUF_ENDS = {EMBED: "token_embd.weight", NORM: "output_norm.weight", HEAD: "output.weight"}


def in_layer(layer: int, part: str) -> str:
    return f"model.layers.{layer}.{part}.weight"


def part_of(name: str) -> str:
    """`self_attn.q_proj` of `model.layers.3.self_attn.q_proj.weight`; a name outside the layers stays as it is."""
    return name.split(".", 3)[3].removesuffix(".weight") if name.startswith("model.layers.") else name


def layer_of(name: str) -> int:
    """The layer's number, or -1 for what lies outside the layers."""
    return int(name.split(".", 3)[2]) if name.startswith("model.layers.") else -1


def gguf_name(name: str) -> str:
    if name in _GGUF_ENDS:
        return _GGUF_ENDS[name]
    return f"blk.{layer_of(name)}.{_GGUF_PARTS[part_of(name)]}.weight"


def shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Every weight that a model of this architecture has, in the order in which files hold them."""
    queries, keys = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    parts = {
        NORM_1: (arch.hidden,), Q: (queries, arch.hidden), K: (keys, arch.hidden), V: (keys, arch.hidden),
        O: (arch.hidden, queries), NORM_2: (arch.hidden,), GATE: (arch.feed_forward, arch.hidden),
        UP: (arch.feed_forward, arch.hidden), DOWN: (arch.hidden, arch.feed_forward),
    }
    found: dict[str, tuple[int, ...]] = {EMBED: (arch.vocab, arch.hidden)}
    for layer in range(arch.layers):
        found |= {in_layer(layer, part): shape for part, shape in parts.items()}
    found[NORM] = (arch.hidden,)
    if not arch.tied:
        found[HEAD] = (arch.vocab, arch.hidden)
    return found
