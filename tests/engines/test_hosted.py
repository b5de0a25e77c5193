"""What runs in other environments, looked at from here: the key around transformers' server, vLLM's log."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.hosted.guard import guarded
from engines.vllm_facts import _from_log, _from_metrics

MAIN = Path(__file__).resolve().parents[2] / "engines" / "hosted" / "main.py"
OPEN = {"host": "127.0.0.1:8000"}
LOG = """\
(APIServer pid=1) INFO [api_utils.py:286] non-default args: {'model': 'tiny', 'max_num_seqs': 4}
(APIServer pid=1) INFO [scheduler.py:307] Chunked prefill is enabled with max_num_batched_tokens=1024.
(EngineCore pid=2) INFO [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='tiny', \
speculative_config=None, dtype=torch.float16, max_seq_len=1024, tensor_parallel_size=2, pipeline_parallel_size=1, \
data_parallel_size=1, quantization=None, enforce_eager=True, kv_cache_dtype=auto, device_config=cpu, seed=0
(EngineCore pid=2) INFO [kv_cache_utils.py:2327] CPU KV cache size: 699,008 tokens, Maximum concurrency 682.62x
"""


async def _ask(path: str, headers: dict[str, str]) -> int:
    """The status that the guard gives, 200 where the application itself answers."""
    told: list[dict[str, Any]] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    app = guarded(application, "secret", frozenset({"/reset"}))
    await app({"type": "http", "path": path, "headers": raw}, receive, send)
    return int(told[0]["status"])


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/models", OPEN | {"authorization": "Bearer secret"}, 200),
        ("/v1/models", OPEN, 401),
        ("/v1/models", OPEN | {"authorization": "Bearer secre"}, 401),
        ("/health", OPEN, 200),
        ("/health", {"host": "evil.example"}, 403),
        ("/health", {}, 403),
        ("/v1/models", {"host": "localhost", "authorization": "Bearer secret"}, 200),
        ("/v1/models", OPEN | {"authorization": "Bearer secret", "origin": "http://evil.example"}, 403),
        ("/reset", OPEN | {"authorization": "Bearer secret"}, 404),
    ],
)
def test_who_gets_in(path: str, headers: dict[str, str], status: int) -> None:
    assert asyncio.run(_ask(path, headers)) == status


def test_what_vllm_writes_when_it_starts_becomes_facts() -> None:
    found = {name: value for name, (value, _) in _from_log(LOG).items()}
    assert found == {
        "version": "0.32.0", "tp": 2, "pp": 1, "dp": 1, "quant": "none", "dtype": "float16", "kv_type": "auto",
        "eager": True, "device": "cpu", "speculative": "none", "chunked_prefill": True, "max_batch_tok": 1024,
        "kv_tok": 699_008, "max_seqs": 4,
    }
    guessing = LOG.replace("speculative_config=None", "speculative_config=SpeculativeConfig(method='ngram', n=3)")
    assert _from_log(guessing)["speculative"][0] == "SpeculativeConfig(method='ngram', n=3)"
    assert _from_log(guessing)["tp"][0] == 2
    assert _from_log("") == {}
    assert _from_metrics("nothing here") == {}


def test_a_hosted_server_needs_nothing_of_ours_but_the_standard_library(tmp_path: Path) -> None:
    """Under a bare interpreter it gets as far as its own engine's package, and no further."""
    config = tmp_path / "CONFIG.json"
    options = {"device": "cpu", "threads": 1, "beside": None}
    config.write_text(json.dumps({"options": options, "model_path": str(tmp_path)}))
    for name, missing in (("transformers_serve", "torch"), ("onnx_server", "httptools|onnxruntime_genai")):
        words = [sys.executable, "-I", "-S", str(MAIN), name, str(config)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert any(f"No module named '{package}'" in last for package in missing.split("|")), done.stderr
    config.write_text(json.dumps({"options": options | {"beside": "nothing"}, "model_path": str(tmp_path)}))
    words = [sys.executable, "-I", "-S", str(MAIN), "transformers_serve", str(config)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, "environment 'nothing' is not here" in done.stderr) == (1, True)
