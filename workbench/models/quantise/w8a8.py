"""W8A8: weights and activations in int8; SmoothQuant moves outliers into the weights, GPTQ rounds them."""

from workbench.models.quantise.method import Method, llmcompressor

METHOD: Method = llmcompressor(
    "w8a8", "int8 weights and activations (llmcompressor)", 8,
    ("SmoothQuantModifier", {"smoothing_strength": 0.8}),
    ("GPTQModifier", {"targets": "Linear", "scheme": "W8A8", "ignore": ["lm_head"]}),
)
