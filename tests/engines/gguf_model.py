"""A Llama of random weights over an ASCII vocabulary, written in 10 ms: its answers are text, not broken UTF-8."""

import string
from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, FEED, HEADS, KV_HEADS, CONTEXT = 1, 128, 256, 4, 2, 1024
SPACE = "\u0120"  # how a byte-level tokenizer writes a blank


def write_model(path: Path, seed: int = 0) -> None:
    letters = [chr(code) for code in range(33, 127)]
    pairs = [(SPACE, letter) for letter in string.ascii_letters]
    tokens = ["<s>", "</s>", *letters, SPACE, *("".join(pair) for pair in pairs)]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges([" ".join(pair) for pair in pairs])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}{{ m.content }} {% endfor %}")
    rng = np.random.default_rng(seed)
    kv_width = WIDTH // HEADS * KV_HEADS
    shapes = {"token_embd": (len(tokens), WIDTH)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        shapes |= {
            block + "attn_q": (WIDTH, WIDTH), block + "attn_k": (kv_width, WIDTH), block + "attn_v": (kv_width, WIDTH),
            block + "attn_output": (WIDTH, WIDTH), block + "ffn_gate": (FEED, WIDTH), block + "ffn_up": (FEED, WIDTH),
            block + "ffn_down": (WIDTH, FEED),
        }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", (rng.standard_normal(shape) * 0.05).astype(np.float32))
    for norm in ("output_norm", *(f"blk.{n}.{kind}_norm" for n in range(LAYERS) for kind in ("attn", "ffn"))):
        writer.add_tensor(f"{norm}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
