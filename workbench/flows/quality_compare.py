"""optimum-benchmark on the same model and shapes as a run log of ours, in an environment of its own."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import own
from engines.environment import child_environment
from engines.install import install as build
from engines.record import Engine
from workbench.errors import Failure, UsageError
from workbench.flows.engine_models import safetensors
from workbench.metrics import summarise
from workbench.quality.optimum import figures, read
from workbench.runlog.table import RunLog
from workbench.runlog.table import read as read_log

NAME = "optimum-benchmark"
# no engine, but an environment of the same kind
RECORD = Engine(
    name=NAME, title="optimum-benchmark", place="own environment", get="workbench quality compare --install",
    distribution=NAME, environment=own.Environment(
        "optimum-benchmark.txt", ("3.11",), 1_450_000_000, 90, source_builds=("antlr4-python3-runtime",),
    ),
)
METRICS = ("ttft_s", "tpot_s", "e2e_s", "output_tok_per_s")
OUT_OF_TIME_S = 1_800.0


def compare(
    run: Path, model: str, *, report: Path | None = None, python: Path | None = None, threads: int = 1,
) -> dict[str, Any]:
    """`run`: a run log of one request in flight; `report`: a benchmark_report.json that is there already."""
    log = read_log(run)
    ours, shape = _ours(log)
    warnings = _unlike(log)
    if report is not None:
        return _told(read(report), ours, shape, warnings)
    program = python or own.python(NAME)
    if python is None and own.installed(NAME) is None:
        raise Failure(f"{NAME} is not installed here: workbench quality compare RUN MODEL --install, or --python PATH")
    with tempfile.TemporaryDirectory(prefix="workbench-optimum-") as folder:
        _run(program, safetensors(model).path, shape, threads, Path(folder))
        return _told(read(Path(folder) / "benchmark_report.json"), ours, shape, warnings)


def install(on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    return asdict(build(RECORD, on_progress=on_progress))


def _ours(log: RunLog) -> tuple[dict[str, float | None], dict[str, int]]:
    if log.provenance.world != "real":
        raise UsageError("the run log is of a simulation; give one of real requests")
    metrics = summarise(log)["metrics"]
    found: dict[str, float | None] = {}
    for name in METRICS:
        item = metrics.get(name, {})
        found[name] = (item.get("value") or item.get("mean") or {}).get("measured")
    rows = [row for row in log.counted.rows() if row.outcome == "ok"]
    if not rows:
        raise UsageError("the run log holds no request that succeeded")
    prompt, output = (sum(getattr(row, name) or 0 for row in rows) for name in ("prompt_tok", "output_tok"))
    n = len(rows)
    return found, {"prompt_tok": round(prompt / n), "output_tok": round(output / n), "requests": n}


def _unlike(log: RunLog) -> list[str]:
    """Why the two do not measure one thing."""
    found = []
    if log.provenance.engine != "transformers":
        engine = log.provenance.engine or "an engine without a name"
        found.append(f"ours is {engine}, theirs is transformers: engines are compared, not only clients")
    concurrency = log.provenance.workload.get("concurrency")
    if concurrency != 1:
        found.append(f"ours had {concurrency or 'open-loop'} requests in flight, theirs one")
    return found


def _run(program: Path, model: Path, shape: dict[str, int], threads: int, out: Path) -> None:
    """Its own command line, one sequence, as many tokens as ours; a YAML is what it reads."""
    config = {
        "defaults": ["benchmark", {"launcher": "process"}, {"backend": "pytorch"}, {"scenario": "inference"}, "_self_"],
        "name": "workbench", "hydra": {"run": {"dir": str(out)}},
        "launcher": {},
        "backend": {"device": "cpu", "model": str(model), "task": "text-generation", "torch_dtype": "float32",
                    "no_weights": False, "intra_op_num_threads": threads},
        "scenario": {"memory": False, "latency": True, "iterations": 5, "duration": 5, "warmup_runs": 2,
                     "input_shapes": {"batch_size": 1, "sequence_length": shape["prompt_tok"]},
                     "generate_kwargs": {"max_new_tokens": shape["output_tok"], "min_new_tokens": shape["output_tok"]}},
    }
    (out / "workbench.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    command = [str(program.parent / "optimum-benchmark"), "--config-dir", str(out), "--config-name", "workbench"]
    try:
        done = subprocess.run(command, cwd=out, env=child_environment(ours=False), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=OUT_OF_TIME_S, check=False)
    except FileNotFoundError:
        raise UsageError(f"--python {program.name}: no optimum-benchmark beside it") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{NAME}: did not end within {OUT_OF_TIME_S:g} s") from None
    if done.returncode or not (out / "benchmark_report.json").is_file():
        said = (done.stderr + done.stdout).decode("utf-8", "replace").strip().splitlines()
        last = next((line for line in reversed(said) if "Error" in line), said[-1] if said else "it wrote nothing")
        raise Failure(f"{NAME}: failed: {last[:300]}")


def _told(
    report: dict[str, Any], ours: dict[str, float | None], shape: dict[str, int], warnings: list[str],
) -> dict[str, Any]:
    found = figures(report, ours, shape["output_tok"])
    return {"shape": shape, "warnings": warnings, "figures": [asdict(one) | {"ratio": one.ratio} for one in found]}
