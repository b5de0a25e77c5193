"""FP8: weights in E4M3 with a scale per channel, activations scaled as they come. Needs no calibration."""

from workbench.models.quantise.method import Method, llmcompressor

METHOD: Method = llmcompressor(
    "fp8", "FP8, dynamic activations (llmcompressor)", 8,
    ("QuantizationModifier", {"targets": "Linear", "scheme": "FP8_DYNAMIC", "ignore": ["lm_head"]}),
    calibration="none", pipeline="datafree",
)
