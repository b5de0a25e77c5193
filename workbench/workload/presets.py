"""Lengths that others measured, by name: `lengths = "sharegpt-long"` says prompt_tok, output_tok and length_corr."""

from collections.abc import Mapping
from typing import Any

# Fitted to the 300 requests of ShareGPT that LLMServingSim bundles with a real vLLM run (casys-kaist/LLMServingSim
# @5daddb2, MIT): only conversations with answers of 512 tokens and more are in it. Prompts: one lognormal (KS 0.050,
# p = 0.43); answers: three, by expectation maximisation (KS 0.055, p = 0.31), of which the narrow one at 769 is the
# length at which that model's answers end; correlation of the normal scores (Spearman's rank correlation is 0.19).
SHAREGPT_LONG: Mapping[str, Any] = {
    "prompt_tok": {"kind": "lognormal", "p50_tok": 733, "p95_tok": 1813, "min_tok": 262, "max_tok": 3998},
    "output_tok": {"kind": "mixture", "parts": [
        {"weight": 0.473, "of": {"kind": "lognormal", "p50_tok": 560, "p95_tok": 613, "min_tok": 512, "max_tok": 1021}},
        {"weight": 0.279, "of": {"kind": "lognormal", "p50_tok": 700, "p95_tok": 812, "min_tok": 512, "max_tok": 1021}},
        {"weight": 0.249, "of": {"kind": "lognormal", "p50_tok": 769, "p95_tok": 774, "min_tok": 512, "max_tok": 1021}},
    ]},
    "length_corr": 0.172,
}
PRESETS: Mapping[str, Mapping[str, Any]] = {"sharegpt-long": SHAREGPT_LONG}
