"""Telemetry beside a run: a process of its own samples; here it is started, stopped, read and reduced to a window."""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from workbench.bench.telemetry_gpu import HARMFUL

FILE = "telemetry.jsonl"
START_S, STOP_S = 5.0, 5.0
MIN_SAMPLES = 5  # fewer say nothing about a window
MOST_GAP = 5.0  # times the interval: a longer hole makes power untrustworthy
SLOW_CLOCK_FRAC = 0.9  # a clock that fell below so much of its highest in the window
Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What to watch: the process and all below it, and the engine's /metrics under our names."""

    out: Path
    interval_s: float
    pid: int | None = None
    metrics_url: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    key: str | None = field(default=None, repr=False)


@contextlib.contextmanager
def watching(order: Order) -> Iterator[int]:
    """Sample while open; yields the process's pid. That it dies is seen in what it wrote, and stops nobody."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "workbench.bench.telemetry_side"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = {"out": str(order.out), "interval_s": order.interval_s, "pid": order.pid,
            "metrics_url": order.metrics_url, "metrics": dict(order.metrics), "key": order.key}
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        select.select([process.stdout], [], [], START_S)  # its first sample, its end, or enough waited
        yield process.pid
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def read(path: Path) -> tuple[dict[str, Any], list[Sample]]:
    """(what the first line says, samples); a last line cut short is left out, a missing file is no samples."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return {}, []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return (found[0], [item for item in found[1:] if "t_ns" in item]) if found else ({}, [])


def reduce(head: Mapping[str, Any], samples: Sequence[Sample], begin_ns: int, end_ns: int) -> dict[str, Any]:
    """What is known of the window, on the system's monotonic clock. Null is not known; it is never 0 instead."""
    inside = [item for item in samples if begin_ns <= item["t_ns"] <= end_ns]
    window_s = (end_ns - begin_ns) / 1e9
    invalid = _why_invalid(head, samples, inside, begin_ns, end_ns)
    gpus = [[item["gpus"][i] for item in inside] for i in range(len(inside[0]["gpus"]))] if inside else []
    energies = [energy_j(samples, i, begin_ns, end_ns) for i in range(len(gpus))] if not invalid else []
    if gpus and not invalid and any(value is None for value in energies):
        invalid = ["a GPU tells neither its energy nor its power"]
    joules = None if invalid else sum(value for value in energies if value is not None)
    return {
        "samples": len(inside), "window_s": window_s, "power_valid": not invalid, "power_why_not": invalid,
        "energy_j": joules, "power_mean_w": None if joules is None or window_s <= 0 else joules / window_s,
        "cpu_busy_frac": _busy(inside), "memory_used_max_bytes": _most(inside, "memory_used_bytes"),
        "engine_cpu_s": _gained(inside, "engine_cpu_s"), "engine_rss_max_bytes": _most(inside, "engine_rss_bytes"),
        "engine_pss_max_bytes": _most(inside, "engine_pss_bytes"),
        "gpus": [_gpu(readings) for readings in gpus],
        "engine_most": _engine_most(inside),
    }


def _why_invalid(
    head: Mapping[str, Any], samples: Sequence[Sample], inside: Sequence[Sample], begin_ns: int, end_ns: int
) -> list[str]:
    """Reasons for which power in the window cannot be trusted; empty is valid."""
    if not samples:
        return ["no telemetry was written"]
    if not any(item["gpus"] for item in samples):
        return [str(head.get("why_not") or "no GPU")]
    reasons = []
    if len(inside) < MIN_SAMPLES:
        reasons.append(f"{len(inside)} samples in the window; at least {MIN_SAMPLES}")
    if samples[0]["t_ns"] > begin_ns or samples[-1]["t_ns"] < end_ns:
        reasons.append("telemetry does not cover the window")
    most_s = MOST_GAP * float(head.get("interval_s") or 0)
    times = [begin_ns, *(item["t_ns"] for item in inside), end_ns]
    hole_s = max((b - a) / 1e9 for a, b in pairwise(times))
    if most_s and hole_s > most_s:
        reasons.append(f"a hole of {hole_s:.2f} s between samples")
    return reasons


def energy_j(samples: Sequence[Sample], gpu: int, begin_ns: int, end_ns: int) -> float | None:
    """Of one GPU in the window: its energy counter between two times, else power by trapezoids; both interpolated."""
    counter = [(item["t_ns"], item["gpus"][gpu]["energy_j"]) for item in samples]
    if all(value is not None for _, value in counter):
        return _at(counter, end_ns) - _at(counter, begin_ns)
    power = [(item["t_ns"], item["gpus"][gpu]["power_w"]) for item in samples]
    if any(value is None for _, value in power):
        return None
    inner = [(at, value) for at, value in power if begin_ns < at < end_ns]
    points = [(begin_ns, _at(power, begin_ns)), *inner, (end_ns, _at(power, end_ns))]
    return float(sum((b - a) / 1e9 * (p + q) / 2 for (a, p), (b, q) in pairwise(points)))


def _at(series: Sequence[tuple[int, float]], t_ns: int) -> float:
    """Linear between the two readings around a time; beyond the ends the last one."""
    before = series[0]
    for after in series:
        if after[0] >= t_ns:
            width = after[0] - before[0]
            return before[1] + (after[1] - before[1]) * ((t_ns - before[0]) / width if width else 0.0)
        before = after
    return before[1]


def _gpu(readings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    clocks = [item["sm_mhz"] for item in readings if item["sm_mhz"] is not None]
    throttled = [name for item in readings for name in item["throttle"] or ()]
    told = any(item["throttle"] is not None for item in readings)
    n = len(readings)
    return {
        "sm_min_mhz": min(clocks, default=None), "sm_max_mhz": max(clocks, default=None),
        "memory_used_max_bytes": _most(readings, "memory_used_bytes"),
        "temperature_max_c": _most(readings, "temperature_c"), "others_max": _most(readings, "others"),
        "throttle_frac": {name: throttled.count(name) / n for name in dict.fromkeys(throttled)} if told else None,
    }


def gpu_warnings(reduced: Mapping[str, Any]) -> list[str]:
    """What makes the window's figures those of a hampered GPU."""
    found = []
    for i, gpu in enumerate(reduced["gpus"]):
        found += [f"GPU {i}: {name} in {frac:.0%} of the samples"
                  for name, frac in (gpu["throttle_frac"] or {}).items() if name in HARMFUL]
        if gpu["others_max"]:
            found.append(f"GPU {i}: {gpu['others_max']} other processes compute on it")
        if gpu["sm_max_mhz"] and gpu["sm_min_mhz"] < SLOW_CLOCK_FRAC * gpu["sm_max_mhz"]:
            found.append(f"GPU {i}: its clock fell from {gpu['sm_max_mhz']} to {gpu['sm_min_mhz']} MHz")
    return found


def _most(items: Sequence[Mapping[str, Any]], name: str) -> Any:
    return max((item[name] for item in items if item.get(name) is not None), default=None)


def _gained(items: Sequence[Sample], name: str) -> float | None:
    known = [item[name] for item in items if item[name] is not None]
    return known[-1] - known[0] if len(known) > 1 else None


def _busy(items: Sequence[Sample]) -> float | None:
    idle, total = _gained(items, "cpu_idle_s"), _gained(items, "cpu_total_s")
    return None if idle is None or not total else max(0.0, min(1.0, 1 - idle / total))


def _engine_most(items: Sequence[Sample]) -> dict[str, float] | None:
    """The highest of each of the engine's own figures; None where it told none."""
    known = [item["engine"] for item in items if item["engine"]]
    return {name: max(item[name] for item in known if name in item) for name in known[0]} if known else None
