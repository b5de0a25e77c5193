"""The speed benchmark runs, and says what it measured."""

import importlib.util
from pathlib import Path
from types import ModuleType


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "sim_speed.py"
    spec = importlib.util.spec_from_file_location("sim_speed", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_counts_what_it_ran() -> None:
    found = load().measure(requests=60, replicas=2, rate_per_replica=0.5, seed=1)
    assert found["mode"] == "per-iteration"
    assert found["requests_per_cpu_s"] == 60 / found["cpu_s"]
    assert found["iterations"] > 60
    assert found["events_per_iteration"] >= 1.0
    assert found["machine"]["cpu"]
