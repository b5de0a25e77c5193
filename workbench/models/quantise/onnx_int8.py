"""ONNX int8: the exported graph, its matrix products in int8 with activations scaled as they come."""

from workbench.models.quantise.method import Method

METHOD = Method(
    name="onnx-int8", title="ONNX int8 (onnxruntime, dynamic)", form="onnx", bits=8, reads=("onnxruntime",),
    environment="onnxruntime", child="onnx_export", library="onnxruntime",
    settings={"precision": "fp32", "dynamic_int8": True},
)
