"""The telemetry process: `python -m workbench.bench.telemetry_side`. Reads its order on standard input, writes one
JSON line a sample, and ends when told to or when whoever started it is gone.

Times are of the system's monotonic clock, the one that the load generator's t=0 is on.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from workbench.bench.telemetry_gpu import Gpus

METRICS_TIMEOUT_S, METRICS_EVERY_S, MEMORY_EVERY_S = 1.0, 1.0, 1.0
READY = b"ready\n"  # said after the first sample


def tree(root: int | None) -> list[psutil.Process]:
    """A process and all below it; empty where it is gone or not ours."""
    if root is None:
        return []
    try:
        top = psutil.Process(root)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def process_sample(root: int | None) -> tuple[dict[str, Any], frozenset[int]]:
    """Processor time and resident memory of the engine's processes; null where there is no process of ours."""
    processes = tree(root)
    cpu_s, rss_bytes, seen = 0.0, 0, False
    for process in processes:
        try:
            times = process.cpu_times()
            rss_bytes += int(process.memory_info().rss)
            cpu_s += float(times.user + times.system)
            seen = True
        except psutil.Error:
            continue
    ours = frozenset(process.pid for process in processes)
    return {"engine_cpu_s": cpu_s if seen else None, "engine_rss_bytes": rss_bytes if seen else None}, ours


def pss_bytes(processes: Iterable[int]) -> int | None:
    """Memory of the engine with each shared page counted once among those who share it; None where it is not told."""
    total, seen = 0, False
    for pid in processes:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")]
        total, seen = total + sum(found), seen or bool(found)
    return total if seen else None


def machine_sample() -> dict[str, Any]:
    times = psutil.cpu_times()
    idle_s = float(times.idle + getattr(times, "iowait", 0.0))
    return {"cpu_idle_s": idle_s, "cpu_total_s": float(sum(times[:8])),  # guest times are in user already
            "memory_used_bytes": int(psutil.virtual_memory().used)}


def metrics_reader(order: dict[str, Any]) -> Callable[[], dict[str, float] | None]:
    """Reads the engine's /metrics, at most once a second (it costs the engine time): the names asked for; None where
    it does not answer, and between two readings."""
    names = order.get("metrics") or {}
    if not names:
        return lambda: None
    import httpx

    from workbench.prometheus_text import sum_samples

    headers = {"Authorization": f"Bearer {order['key']}"} if order.get("key") else {}
    client = httpx.Client(headers=headers, timeout=METRICS_TIMEOUT_S, trust_env=False)
    due_s = 0.0

    def read() -> dict[str, float] | None:
        nonlocal due_s
        if (now_s := time.monotonic()) < due_s:
            return None
        due_s = now_s + METRICS_EVERY_S
        try:
            answer = client.get(order["metrics_url"])
        except httpx.HTTPError:
            return None
        totals = sum_samples(answer.text) if answer.status_code == 200 else {}
        return {ours: totals[theirs] for ours, theirs in names.items() if theirs in totals}

    return read


def main() -> int:
    order = json.loads(sys.stdin.buffer.readline() or b"null")
    if not order:
        return 0
    gpus, engine_metrics = Gpus(), metrics_reader(order)
    due_s, begun, memory_due_s = time.monotonic(), True, 0.0
    with Path(order["out"]).open("a", encoding="utf-8") as out:
        out.write(json.dumps({"kind": "workbench.telemetry", "schema": 1, "interval_s": order["interval_s"],
                              **gpus.describe()}) + "\n")
        last = False
        while True:
            engine, ours = process_sample(order["pid"])
            due = time.monotonic() >= memory_due_s  # it walks the page tables: not at every sample
            memory_due_s = time.monotonic() + MEMORY_EVERY_S if due else memory_due_s
            sample = {"t_ns": time.perf_counter_ns(), **machine_sample(), **engine,
                      "engine_pss_bytes": pss_bytes(ours) if due else None, "gpus": gpus.sample(ours),
                      "engine": engine_metrics()}
            out.write(json.dumps(sample) + "\n")
            out.flush()
            if last:
                return 0
            if begun:
                os.write(sys.stdout.fileno(), READY)
                begun = False
            due_s = max(due_s + order["interval_s"], time.monotonic())
            ready, _, _ = select.select([sys.stdin], [], [], max(0.0, due_s - time.monotonic()))
            # end of file: we are told to stop, or nobody is left; one more sample covers the end of the window
            last = bool(ready) and not os.read(sys.stdin.fileno(), 1)


if __name__ == "__main__":
    raise SystemExit(main())
