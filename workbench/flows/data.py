"""The public measured data that tests and validation can use: what is there, and where each set comes from."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class DataSet:
    """One set: where it lies in the data folder, and where anyone can get it."""

    path: str
    what: str
    origin: str
    licence: str


SETS: tuple[DataSet, ...] = (
    DataSet("traces/AzureLLMInferenceTrace_conv.csv", "19,366 requests of a production chat service, 58 minutes",
            "Azure/AzurePublicDataset @b469a11", "CC-BY-4.0"),
    DataSet("traces/mooncake_synthetic_trace.jsonl", "3,993 requests with 512-token prefix block ids",
            "kvcache-ai/Mooncake @3b5a594", "Apache-2.0"),
    DataSet("llmservingsim", "kernel times and a real vLLM 0.19 run with per-request times",
            "casys-kaist/LLMServingSim @5daddb2", "MIT"),
    DataSet("silicon/splitwise_llama2-70b_h100.csv", "prompt, token and end-to-end times by tensor parallel degree",
            "Mutinifni/splitwise-sim @8f99e7d", "MIT"),
    DataSet("quality/HumanEval.jsonl.gz", "the 164 HumanEval tasks", "openai/human-eval", "MIT"),
    DataSet("quality/mmlu_dev.jsonl", "MMLU dev, 285 questions", "hendrycks/test", "MIT"),
    DataSet("quality/mmlu_test_200.jsonl", "200 MMLU test questions", "hendrycks/test", "MIT"),
    DataSet("quality/llamacpp_llama3_8b_kld.csv", "KL divergence of 46 quantisations of Llama-3-8B",
            "ggml-org/llama.cpp", "MIT"),
    DataSet("quality/llamacpp_llama31_8b_quants.csv", "size and speed of 24 quantisations of Llama-3.1-8B",
            "ggml-org/llama.cpp", "MIT"),
    DataSet("facts/model_facts.csv", "layers, heads, sizes of 156 models", "the models' config files", "facts"),
    DataSet("facts/rental_prices_snapshot.csv", "GPU rental prices with their source per row",
            "skypilot-org/skypilot-catalog @0f40703", "Apache-2.0"),
)


def check(folder: Path) -> list[dict[str, Any]]:
    """Each known set, whether it is in the folder, and how large it is."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; docs/data.md says how to build one")
    return [asdict(item) | _found(folder / item.path) for item in SETS]


def _found(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"there": False, "bytes": 0}
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return {"there": True, "bytes": sum(item.stat().st_size for item in files)}
