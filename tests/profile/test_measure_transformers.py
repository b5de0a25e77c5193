"""The script that times transformers on a GPU: its shapes, its profile, and (slow) itself on a CPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines import own
from engines.environment import child_environment
from workbench.paths import root
from workbench.profile.batch import Batch
from workbench.profile.profile import read

ROOT = root()
pytestmark = pytest.mark.skipif(ROOT is None, reason="the script lies in a checkout only")
SMALL = {"model_type": "llama", "vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 1, "intermediate_size": 128, "max_position_embeddings": 512}


def script(python: str, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    assert ROOT is not None
    return subprocess.run([python, str(ROOT / "scripts" / "measure_transformers.py"), *words], capture_output=True,
                          text=True, env=env, timeout=300)


def points(step_ns: int, decode_ns: int, token_ns: int) -> dict[str, Any]:
    """Of a machine whose times are straight lines."""
    return {
        "kind": "workbench.transformers-points", "schema": 1, "model": "m", "shape": SMALL, "dtype": "bfloat16",
        "weights": "random", "left_out": ["64 sequences of 2048 tokens: out of memory"],
        "prompts": [{"new_tok": n, "ns": step_ns + token_ns * n, "all_ns": [1, 2, 3]} for n in (16, 128, 512)],
        "decodes": [{"decodes": n, "low_tok": low, "high_tok": low + 15, "ns": step_ns + decode_ns * n,
                     "all_ns": [1] * 16} for n in (1, 4, 16) for low in (261, 2053)],
        "started_at_utc": "2026-11-30T00:00:00Z", "device": "cuda", "gpu": "NVIDIA H200", "cuda": "13.0",
        "threads": None, "torch": "2.13.0", "transformers": "5.23.0", "python": "3.11", "processor": "x86_64",
    }


def test_points_of_straight_lines_become_that_profile(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(points(5_000_000, 100_000, 20_000)))
    done = script(sys.executable, "profile", str(tmp_path / "p.json"), "--out", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    found = read(tmp_path / "out.json")
    assert (found.source, found.subject.gpu, found.subject.gpus) == ("measured", "NVIDIA H200", 1)
    assert found.iteration_ns(Batch((), 4, 4 * 268, 268, 268)) == 5_400_000
    assert found.iteration_ns(Batch(((128, 0),))) == 5_000_000 + 128 * 20_000
    assert any("out of memory" in line for line in found.thin)  # what was left out goes with the profile


@pytest.mark.slow
def test_it_measures_here_without_a_gpu(tmp_path: Path) -> None:
    if own.installed("transformers") is None:
        pytest.skip("engine transformers is not installed: workbench engines install transformers")
    out = tmp_path / "points.json"
    done = script(
        str(own.python("transformers")), "measure", "--device", "cpu", "--config", json.dumps(SMALL), "--prompts",
        "8,32", "--decodes", "1,2", "--contexts", "16,48", "--steps", "4", "--repeats", "2", "--out", str(out),
        env=child_environment(ours=False),
    )
    assert done.returncode == 0, done.stderr[-500:]
    seen = json.loads(out.read_text())
    assert [item["new_tok"] for item in seen["prompts"]] == [8, 32]
    assert [(item["decodes"], item["low_tok"], item["high_tok"]) for item in seen["decodes"]] == [
        (1, 21, 24), (2, 21, 24), (1, 53, 56), (2, 53, 56)]
    assert all(ns > 0 for item in seen["decodes"] for ns in item["all_ns"])
    done = script(sys.executable, "profile", str(out), "--out", str(tmp_path / "profile.json"))
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "profile.json").subject.gpus == 0
