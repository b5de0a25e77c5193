"""AWQ: channels that large activations meet are scaled up before 4-bit rounding. What autoawq began."""

from workbench.models.quantise.method import Method, llmcompressor

METHOD: Method = llmcompressor(
    "awq", "AWQ 4-bit (llmcompressor)", 4,
    ("AWQModifier", {}),
    ("QuantizationModifier", {"targets": "Linear", "scheme": "W4A16_ASYM", "ignore": ["lm_head"]}),
)
