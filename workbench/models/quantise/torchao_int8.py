"""torchao weight-only int8: one scale a row, computed in the activations' type."""

from workbench.models.quantise.method import Method

METHOD = Method(
    name="torchao-int8", title="torchao int8, weights only", form="safetensors", bits=8, reads=("transformers",),
    environment="torchao", child="torchao_save", library="torchao",
)
