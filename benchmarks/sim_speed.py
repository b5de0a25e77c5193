"""How fast the simulator is: requests per CPU-second, run log and all metrics included.

    python benchmarks/sim_speed.py --requests 2000 --replicas 4 --rate-per-replica 0.5 --json

A synthetic 70B-like profile, Poisson arrivals, lognormal lengths (prompt mean 1,020, output mean 210 tokens, as Azure's
2023 conversation trace), vLLM's rules: chunk 512, 128 seats, 3,328 blocks of 16. Imports and drawing do not count.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sims.rules import VllmRules
from sims.run import simulate
from workbench.config import validate
from workbench.metrics import summarise
from workbench.profile.batch import Batch
from workbench.runlog.provenance import Machine
from workbench.runlog.table import write
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

RULES = VllmRules(max_num_seqs=128, max_num_batched_tokens=512, block_tok=16, kv_blocks=3328)


class Synthetic:
    """36 ms a step, 0.05 ms a decode, 0.0001 ms a context token, 0.37 ms a prompt token."""

    def iteration_ns(self, batch: Batch) -> int:
        return (36_000_000 + 50_000 * batch.decode_n + 100 * batch.decode_ctx_sum_tok
                + 370_000 * batch.prefill_tok)


def measure(requests: int, replicas: int, rate_per_replica: float, seed: int) -> dict[str, Any]:
    """One case; CPU seconds of this process."""
    spec = validate(WorkloadSpec, {
        "requests": requests, "arrivals": {"kind": "poisson", "rate_per_s": rate_per_replica * replicas},
        "prompt_tok": {"kind": "lognormal", "mean_tok": 1020, "sigma": 1.1, "max_tok": 8000},
        "output_tok": {"kind": "lognormal", "mean_tok": 210, "sigma": 0.8, "max_tok": 1000},
    }, "benchmark")
    schedule = draw(spec, seed)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = simulate(schedule, Synthetic(), RULES, replicas=replicas, seed=seed)
        simulated = time.process_time()
        write(result.log, Path(folder) / "run.parquet")
        summarise(result.log)
        end = time.process_time()
    iterations = sum(result.iterations)
    return {
        "mode": "per-iteration", "requests": requests, "replicas": replicas, "rate_per_replica_rps": rate_per_replica,
        "seed": seed, "cpu_s": end - start, "cpu_s_simulating": simulated - start,
        "requests_per_cpu_s": requests / (end - start), "iterations": iterations,
        "iterations_per_cpu_s": iterations / (simulated - start), "events_per_iteration": result.events / iterations,
        "preemptions": result.preemptions, "busy_frac": result.facts["busy_frac"],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "machine": asdict(Machine.here()), "python": sys.version.split()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--rate-per-replica", type=float, default=0.5, help="requests per second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line")
    asked = parser.parse_args()
    if asked.requests < 1 or asked.replicas < 1 or not asked.rate_per_replica > 0 or asked.seed < 0:
        parser.error("requests and replicas must be at least 1, rate-per-replica above 0, seed at least 0")
    found = measure(asked.requests, asked.replicas, asked.rate_per_replica, asked.seed)
    if asked.json:
        print(json.dumps(found))
    else:
        print(f"{found['requests_per_cpu_s']:.0f} requests per CPU-second, {found['iterations_per_cpu_s']:.0f} "
              f"iterations per CPU-second ({found['mode']}, {found['machine']['cpu']}, Python {found['python']})")


if __name__ == "__main__":
    main()
