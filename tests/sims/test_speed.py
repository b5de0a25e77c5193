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
    assert (found["mode"], found["ok"]) == ("macro", 60)
    assert found["requests_per_cpu_s"] == 60 / found["cpu_s"]
    assert found["iterations"] > 60
    assert found["events_per_iteration"] < 0.5
    assert found["bare_simpy_ns_per_event"] > 0
    assert found["machine"]["cpu"]


def test_modes_and_prefixes_are_named_and_agree() -> None:
    module = load()
    runs = [module.measure(requests=40, replicas=1, rate_per_replica=0.5, seed=2, mode=mode, prefix=True)
            for mode in ("macro", "iteration", "oracle")]
    assert [run["mode"] for run in runs] == ["macro", "iteration", "oracle"]
    assert len({(run["iterations"], run["gap_p99_s"], run["busy_frac"]) for run in runs}) == 1
    assert "shared beginnings" in runs[0]["lengths"]


def test_events_grow_in_proportion_to_requests() -> None:
    """Work, counted and not timed: ten times the requests are ten times the events."""
    module = load()
    few, many = (module.measure(requests=n, replicas=2, rate_per_replica=0.5, seed=1) for n in (300, 3_000))
    assert many["events_per_request"] < 1.15 * few["events_per_request"]
