"""A small invented folder of kernel tables, written as the profiler of LLMServingSim writes them.

Times are straight lines, so every expectation can be computed by hand: a dense kernel takes 10 us + 1 us a token, the
head 5 us + 2 us a sequence, attention 1 us + 0.01 us per token of decode context + 0.1 us per new prompt token.
"""

import json
from pathlib import Path

TOKENS = (1, 16, 128, 2048)
CHUNKS, PASTS, DECODES, CONTEXTS = (0, 64, 2048), (0, 1024), (0, 1, 32, 256), (0, 16, 1024, 8192)
LAYERS = 4


def dense_us(tokens: int) -> float:
    return 10 + tokens


def head_us(sequences: int) -> float:
    return 5 + 2 * sequences


def attention_us(chunk: int, past: int, n: int, context: int) -> float:
    return 1 + 0.1 * chunk + 0.001 * past + 0.01 * n * context


def expert_us(tokens: int, reached: int) -> float:
    return 3 + 2 * reached + 0.5 * tokens


def config(folder: Path, *, moe: bool = False) -> Path:
    """A config.json of a model with 4 layers."""
    facts: dict[str, object] = {
        "model_type": "qwen3_moe" if moe else "llama", "num_hidden_layers": LAYERS, "hidden_size": 512,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 1024,
        "vocab_size": 1000, "max_position_embeddings": 8192,
    }
    if moe:
        facts |= {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 256}
    path = folder / ("moe.json" if moe else "dense.json")
    path.write_text(json.dumps(facts))
    return path


def tables(folder: Path, *, tps: tuple[int, ...] = (1,), moe: bool = False, skew: bool = False) -> Path:
    """`folder`/GPU/MODEL/bf16 as `--perf` takes it."""
    perf = folder / "perf" / "RTX4090" / "maker" / "model" / "bf16"
    for tp in tps:
        here = perf / f"tp{tp}"
        here.mkdir(parents=True)
        names = ("embedding", "layernorm", "o_proj") + (() if moe else ("down_proj",))
        dense = [f"{name},{tokens},{dense_us(tokens)}" for name in names for tokens in TOKENS]
        (here / "dense.csv").write_text("\n".join(["layer,tokens,time_us", *dense]) + "\n")
        heads = [f"lm_head,{n},{head_us(n)}" for n in (1, 64, 256)]
        (here / "per_sequence.csv").write_text("\n".join(["layer,sequences,time_us", *heads]) + "\n")
        cells = [
            f"{chunk},{past},{n},{context},{attention_us(chunk, past, n, context):.4f}"
            for chunk in CHUNKS for past in (PASTS if chunk else (0,)) for n in DECODES
            for context in (CONTEXTS[1:] if n else (0,)) if chunk or n
        ]
        header = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"
        (here / "attention.csv").write_text("\n".join([header, *cells]) + "\n")
        if skew:
            (here / "skew_fit.csv").write_text(
                "pc,n_label,skew_rate_label,kv_big_label,kp_label,alpha,n_samples\n"
                "0,n<=8,sr<=40%,kvB<=1k,kp=0,0.5,4\n0,n<=8,sr>40%,kvB<=1k,kp=0,-0.25,4\n"
                "0,n>8,sr<=40%,kvB<=1k,kp=0,0.1,2\n0,n<=8,sr<=40%,kvB>1k,kp=0,1.5,2\n")
    if moe:
        rows = [f"{t},{a},{expert_us(t, a)}" for t in (1, 64, 1024) for a in (1, 2, 4, 8)]
        (perf / "tp1" / "moe.csv").write_text("\n".join(["tokens,activated_experts,time_us", *rows]) + "\n")
    return perf
