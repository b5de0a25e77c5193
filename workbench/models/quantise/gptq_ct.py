"""The same algorithm by llmcompressor, stored as compressed-tensors: what vLLM's own project makes."""

from workbench.models.quantise.method import Method, llmcompressor

METHOD: Method = llmcompressor(
    "gptq-ct", "GPTQ 4-bit (llmcompressor, W4A16)", 4,
    ("GPTQModifier", {"targets": "Linear", "scheme": "W4A16", "ignore": ["lm_head"]}),
)
