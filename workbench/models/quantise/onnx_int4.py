"""ONNX int4: the exporter's own blocks of 4-bit weights (MatMulNBits)."""

from workbench.models.quantise.method import Method

METHOD = Method(
    name="onnx-int4", title="ONNX int4 (onnxruntime-genai)", form="onnx", bits=4, reads=("onnxruntime",),
    environment="onnxruntime", child="onnx_export", library="onnxruntime-genai", settings={"precision": "int4"},
)
