"""How much memory a model takes while it serves."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output

GIB = 1 << 30


def formula(params_b: float, bits: float, layers: float, kv_heads: float, head_dim: float, kv_bits: float,
            context_tok: float, requests: float) -> Numbers:
    weights = params_b * 1e9 * bits / 8 / GIB
    each = 2 * layers * kv_heads * head_dim * kv_bits / 8
    cache = each * context_tok * requests / GIB
    return {"weights_gib": weights, "kv_kib_per_tok": each / 1024, "kv_gib": cache, "total_gib": weights + cache}


CALCULATOR = Calculator(
    "memory", "Memory", "Weights and KV cache: what must fit beside what the engine needs?",
    (Input("params_b", "parameters", "billion", 0.01, 2000, 8.03), Input("bits", "bits per weight", "bit", 1, 32, 4.89),
     Input("layers", "layers", "", 1, 500, 32, True), Input("kv_heads", "KV heads", "", 1, 512, 8, True),
     Input("head_dim", "size of a head", "", 1, 1024, 128, True),
     Input("kv_bits", "bits per KV value", "bit", 2, 32, 16),
     Input("context_tok", "tokens of a request", "tokens", 1, 2_000_000, 4096, True),
     Input("requests", "requests at once", "", 1, 100_000, 8, True)),
    (Output("weights_gib", "weights", "GiB"), Output("kv_kib_per_tok", "KV cache of a token", "KiB", 1),
     Output("kv_gib", "KV cache", "GiB"), Output("total_gib", "both", "GiB")),
    formula, "grouped attention: 2 x layers x KV heads x head size values a token; docs/economics/memory.md",
)
