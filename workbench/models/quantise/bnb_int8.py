"""bitsandbytes LLM.int8(): int8 weights, columns with outliers in 16 bits."""

from workbench.models.quantise.method import Method

METHOD = Method(
    name="bnb-int8", title="bitsandbytes int8", form="safetensors", bits=8, reads=("transformers",),
    environment="bitsandbytes", child="bitsandbytes_save", library="bitsandbytes",
    settings={"config": {"load_in_8bit": True}},
)
