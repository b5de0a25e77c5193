"""What an engine's process may know of ours: almost nothing. No keys, no tokens, and telemetry off."""

import os
from pathlib import Path

PASSED = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "CUDA_VISIBLE_DEVICES", "CUDA_HOME",
    "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START",  # so that `make test` sees the children's lines
)
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
    "SGLANG_DISABLE_USAGE_STATS": "1",
    "TRTLLM_NO_USAGE_STATS": "1",
    "OLLAMA_NO_CLOUD": "1",
    "ANONYMIZED_TELEMETRY": "False",
}


def child_environment(*, ours: bool = True) -> dict[str, str]:
    """The whole environment of an engine: the few variables above, telemetry off.

    `ours`: with our own packages importable; never for an environment of its own, whose versions are others.
    """
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    packages = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)} if ours else {}
    return {**passed, **TELEMETRY_OFF, **packages, "PYTHONUNBUFFERED": "1"}
