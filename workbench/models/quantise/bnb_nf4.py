"""bitsandbytes NF4: sixteen values placed where a normal distribution has its quantiles. QLoRA's format."""

from workbench.models.quantise.method import Method

METHOD = Method(
    name="bnb-nf4", title="bitsandbytes NF4", form="safetensors", bits=4, reads=("transformers",),
    environment="bitsandbytes", child="bitsandbytes_save", library="bitsandbytes",
    settings={"config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}},
)
