"""How fast the simulator is: requests per CPU-second, run log and all metrics included.

    python benchmarks/sim_speed.py --requests 50000 --replicas 4 --rate-per-replica 0.5 --json
    python benchmarks/sim_speed.py --sweep

A synthetic 70B-like profile (or `--profile FILE`) under the watch that every command puts on it, Poisson arrivals,
lengths of Azure's 2023 conversation trace (a lognormal stand-in with the same means where WORKBENCH_DATA names no
folder that has it), vLLM's rules: chunk 512, 128 seats, 3,328 blocks of 16. CPU time of this process, not wall time;
imports and drawing the workload do not count.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import simpy

from sims.rules import VllmRules
from sims.run import simulate
from workbench.metrics import summarise
from workbench.paths import public_data
from workbench.profile import profile as profiles
from workbench.profile.model import Linear
from workbench.profile.profile import Profile
from workbench.profile.ranges import Range, Ranges, RangeWatch
from workbench.runlog.provenance import Machine
from workbench.runlog.schema import Planned
from workbench.runlog.table import write
from workbench.workload import traces

RULES = VllmRules(max_num_seqs=128, max_num_batched_tokens=512, block_tok=16, kv_blocks=3328)
AZURE = "traces/AzureLLMInferenceTrace_conv.csv"
PREFIX_TOK, PREFIXES = 512, 8  # with --prefix: system prompts that requests share, and how many of them
SYNTHETIC = Profile(  # 36 ms a step, 0.05 ms a decode, 0.0001 ms a context token, 0.37 ms a prompt token
    source="roofline", model=Linear(coefficients_fs={
        "step": 36 * 10**12, "decode_n": 5 * 10**10, "decode_ctx_sum_tok": 10**8, "prefill_tok": 37 * 10**10}),
    ranges=Ranges(regions={"prefill": 1, "decode": 1, "mixed": 1}, bounds={
        "prefill_tok": Range(low=1, high=512), "prefill_n": Range(low=1, high=128),
        "prefill_past_max_tok": Range(low=1, high=32_768), "decode_n": Range(low=1, high=128),
        "decode_ctx_sum_tok": Range(low=1, high=3328 * 16), "ubatch_n": Range(low=1, high=1)}),
)
SWEEP = [(n, replicas, rate) for replicas in (1, 4, 16) for n in (10_000, 50_000, 1_000_000) for rate in (0.5, 1.0)]


@cache
def azure(path: Path) -> traces.Trace:
    return traces.read_csv(path)


def lengths(requests: int, rng: np.random.Generator) -> tuple[list[int], list[int], str]:
    """(prompts, outputs, where they come from)."""
    folder = public_data()
    if folder is not None and (folder / AZURE).exists():
        trace = azure(folder / AZURE)
        fits = np.flatnonzero(trace.output_tok > 0)
        drawn = rng.choice(fits, requests)
        return trace.prompt_tok[drawn].tolist(), trace.output_tok[drawn].tolist(), "Azure 2023 conversation"
    prompt, output = (
        np.clip(np.rint(rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, requests)), 1, most).astype(int).tolist()
        for mean, sigma, most in ((1020, 1.1, 8000), (210, 0.8, 1000)))
    return prompt, output, "lognormal stand-in"


def draw(requests: int, rate_per_s: float, seed: int, *, prefix: bool) -> tuple[list[Planned], str]:
    rng = np.random.default_rng(seed)
    at_ns = np.cumsum(rng.exponential(1e9 / rate_per_s, requests)).astype(np.int64).tolist()
    prompts, outputs, named = lengths(requests, rng)
    if not prefix:
        return [Planned(f"r{i:07d}", *item) for i, item in enumerate(zip(at_ns, prompts, outputs, strict=True))], named
    shared = [tuple(range(1_000 * k, 1_000 * k + PREFIX_TOK // 16)) for k in range(PREFIXES)]
    which = rng.integers(PREFIXES, size=requests).tolist()
    return [
        Planned(f"r{i:07d}", at, PREFIX_TOK + prompt, output, prefix_ids=shared[k], prefix_tok=16)
        for i, (at, prompt, output, k) in enumerate(zip(at_ns, prompts, outputs, which, strict=True))
    ], f"{named}, {PREFIXES} shared beginnings of {PREFIX_TOK} tokens"


def bare_simpy_ns(events: int = 50_000) -> float:
    """CPU time of one event of a timeout loop: what SimPy itself costs on this machine, now."""
    env = simpy.Environment()

    def loop() -> Any:
        for _ in range(events):
            yield env.timeout(1)

    env.process(loop())
    start = time.process_time_ns()
    env.run()
    return (time.process_time_ns() - start) / events


def measure(
    requests: int, replicas: int, rate_per_replica: float, seed: int, *,
    mode: Literal["macro", "iteration", "oracle"] = "macro", prefix: bool = False, profile: str = "synthetic",
) -> dict[str, Any]:
    """One case; CPU seconds of this process."""
    timing = RangeWatch(SYNTHETIC if profile == "synthetic" else profiles.read(Path(profile)))  # as the commands do
    schedule, named = draw(requests, rate_per_replica * replicas, seed, prefix=prefix)
    rules = replace(RULES, prefix_caching=prefix)
    simpy_ns = bare_simpy_ns()
    summarise(simulate(schedule[:10], timing, rules, replicas=replicas).log)  # what is imported at first use, is now
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = simulate(schedule, timing, rules, replicas=replicas, seed=seed, keep_journal=False, mode=mode)
        simulated = time.process_time()
        write(result.log, Path(folder) / "run.parquet")
        written = time.process_time()
        summary = summarise(result.log)
        end = time.process_time()
    iterations, cpu_s = sum(result.iterations), end - start
    return {
        "mode": result.mode, "profile": Path(profile).stem, "lengths": named, "requests": requests,
        "replicas": replicas, "rate_per_replica_rps": rate_per_replica, "prefix_caching": prefix,
        "seed": seed, "cpu_s": cpu_s,
        "cpu_s_simulating": simulated - start, "cpu_s_writing": written - simulated, "cpu_s_metrics": end - written,
        "requests_per_cpu_s": requests / cpu_s, "iterations": iterations,
        "iterations_per_cpu_s": iterations / cpu_s, "events_per_iteration": result.events / iterations,
        "events_per_request": result.events / requests, "bare_simpy_ns_per_event": simpy_ns,
        "bare_simpy_ratio": result.events * simpy_ns * 1e-9 / cpu_s,
        "preemptions": result.preemptions, "busy_frac": result.facts["busy_frac"],
        "gap_p99_s": summary["metrics"]["gap_s"]["p99"]["simulated"], "ok": summary["outcomes"]["ok"],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "machine": asdict(Machine.here()), "python": sys.version.split()[0],
    }


def line(found: dict[str, Any]) -> str:
    return (f"{found['requests']:>9,} requests, {found['replicas']:>2} x {found['rate_per_replica_rps']} req/s: "
            f"{found['requests_per_cpu_s']:>7,.0f} requests per CPU-second ({found['mode']}, "
            f"{found['events_per_iteration']:.3f} events an iteration, {found['peak_memory_mib']:,.0f} MiB, "
            f"{found['bare_simpy_ratio']:.0%} of it bare SimPy; {found['profile']}, {found['lengths']})")


def sweep(words: Sequence[str]) -> list[dict[str, Any]]:
    """Each case in a process of its own, so that its peak memory is its own."""
    found = []
    for requests, replicas, rate in SWEEP:
        case = ["--requests", str(requests), "--replicas", str(replicas), "--rate-per-replica", str(rate), "--json"]
        done = subprocess.run([sys.executable, __file__, *case, *words], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
        print(line(found[-1]), file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--rate-per-replica", type=float, default=0.5, help="requests per second")
    parser.add_argument("--mode", choices=["macro", "iteration", "oracle"], default="macro")
    parser.add_argument("--prefix", action="store_true", help="prefix caching, with shared beginnings")
    parser.add_argument("--profile", default="synthetic", help="a profile's file instead of the synthetic one")
    parser.add_argument("--sweep", action="store_true", help="1, 4 and 16 replicas, 10k to 1M requests, both rates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="JSON instead of lines")
    asked = parser.parse_args()
    if asked.requests < 1 or asked.replicas < 1 or not asked.rate_per_replica > 0 or asked.seed < 0:
        parser.error("requests and replicas must be at least 1, rate-per-replica above 0, seed at least 0")
    if asked.sweep:
        words = ["--mode", asked.mode, "--profile", asked.profile, *(["--prefix"] if asked.prefix else [])]
        table = sweep([*words, "--seed", str(asked.seed)])
        if asked.json:
            print(json.dumps(table))
        return
    found = measure(asked.requests, asked.replicas, asked.rate_per_replica, asked.seed,
                    mode=asked.mode, prefix=asked.prefix, profile=asked.profile)
    print(json.dumps(found) if asked.json else line(found))


if __name__ == "__main__":
    main()
