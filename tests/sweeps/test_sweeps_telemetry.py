"""Telemetry: a process of its own, whose window is exact and whose unknowns are null."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.bench import telemetry
from workbench.bench.telemetry_gpu import describe_gpus, throttle_reasons
from workbench.bench.telemetry_side import pss_bytes
from workbench.prometheus_text import sum_samples

HEAD = {"interval_s": 0.1}
S = 1_000_000_000


def sample(t_ns: int, *, power_w: float | None = None, energy_j: float | None = None, **gpu: Any) -> dict[str, Any]:
    reading = {"power_w": power_w, "energy_j": energy_j, "sm_mhz": None, "memory_mhz": None, "memory_used_bytes": None,
               "temperature_c": None, "throttle": None, "others": None} | gpu
    return {"t_ns": t_ns, "cpu_idle_s": 0.0, "cpu_total_s": 0.0, "memory_used_bytes": 1, "engine_cpu_s": None,
            "engine_rss_bytes": None, "engine": None, "gpus": [reading]}


@given(st.floats(1, 1000), st.floats(-50, 50), st.integers(0, 4 * S), st.integers(1, 5 * S))
def test_energy_of_linear_power_is_its_integral_over_the_window(
    base_w: float, slope_w: float, begin_ns: int, width_ns: int
) -> None:
    end_ns = begin_ns + width_ns
    power: Callable[[int], float] = lambda t_ns: base_w + slope_w * t_ns / S  # noqa: E731
    samples = [sample(i * S // 10, power_w=power(i * S // 10)) for i in range(101)]
    found = telemetry.energy_j(samples, 0, begin_ns, end_ns)
    middle = power(begin_ns) + power(end_ns)
    assert found == pytest.approx(middle / 2 * width_ns / S, rel=1e-9, abs=1e-6)


def test_a_counter_of_energy_goes_before_power() -> None:
    samples = [sample(i * S, power_w=1.0, energy_j=10.0 * i) for i in range(11)]
    assert telemetry.energy_j(samples, 0, 2 * S + S // 2, 7 * S) == pytest.approx(45.0)


def test_power_is_valid_only_where_samples_cover_the_window_without_holes() -> None:
    samples = [sample(i * S // 10, power_w=100.0) for i in range(51)]
    good = telemetry.reduce(HEAD, samples, S, 4 * S)
    assert good["power_valid"] is True
    assert (good["energy_j"], good["power_mean_w"]) == (pytest.approx(300), pytest.approx(100))
    late = telemetry.reduce(HEAD, samples, S, 6 * S)
    assert late["energy_j"] is None
    assert "telemetry does not cover the window" in late["power_why_not"]
    holed = telemetry.reduce(HEAD, samples[:15] + samples[25:], S, 4 * S)
    assert holed["power_why_not"] == ["a hole of 1.10 s between samples"]
    short = telemetry.reduce(HEAD, samples, S, S + 2 * S // 10)
    assert "at least 5" in short["power_why_not"][0]


def test_what_is_not_told_is_null_and_never_zero() -> None:
    silent = telemetry.reduce(HEAD, [sample(i * S // 10) for i in range(51)], S, 4 * S)
    assert silent["power_why_not"] == ["a GPU tells neither its energy nor its power"]
    assert silent["gpus"][0] == {"sm_min_mhz": None, "sm_max_mhz": None, "memory_used_max_bytes": None,
                                 "temperature_max_c": None, "others_max": None, "throttle_frac": None}
    nothing = telemetry.reduce({}, [], 0, S)
    assert nothing["power_why_not"] == ["no telemetry was written"]
    assert nothing["energy_j"] is None
    assert nothing["cpu_busy_frac"] is None
    assert nothing["engine_most"] is None


def test_a_hampered_gpu_is_named() -> None:
    samples = [sample(i * S // 10, power_w=1.0, sm_mhz=2000 if i < 20 else 1500, others=int(i == 5),
                      throttle=["software power cap"] if i % 2 else []) for i in range(41)]
    found = telemetry.gpu_warnings(telemetry.reduce(HEAD, samples, 0, 4 * S))
    assert found == ["GPU 0: software power cap in 49% of the samples", "GPU 0: 1 other processes compute on it",
                     "GPU 0: its clock fell from 2000 to 1500 MHz"]
    steady = [sample(i * S // 10, power_w=1.0, sm_mhz=2000, others=0, throttle=[]) for i in range(41)]
    assert telemetry.gpu_warnings(telemetry.reduce(HEAD, steady, 0, 4 * S)) == []


def test_throttle_bits_have_names_and_idle_is_none_of_them() -> None:
    assert throttle_reasons(0x1) == []
    assert throttle_reasons(0x44) == ["software power cap", "hardware thermal slowdown"]


def test_without_a_gpu_it_says_why() -> None:
    found = describe_gpus()
    assert found["gpus"] or found["why_not"]


def test_prometheus_text_is_summed_over_labels() -> None:
    assert sum_samples('# HELP a b\na{x="}"} 1\na{x="2"} 2.5\nb NaN\nc 3e2\n') == {"a": 3.5, "c": 300.0}


def burn(until: threading.Event) -> None:
    while not until.is_set():
        sum(range(1000))


def test_it_samples_this_process_covers_its_window_and_is_gone_afterwards(tmp_path: Path) -> None:
    out = tmp_path / telemetry.FILE
    done = threading.Event()
    busy = threading.Thread(target=burn, args=(done,))
    with telemetry.watching(telemetry.Order(out, 0.02, os.getpid())) as pid:
        begin_ns = time.perf_counter_ns()
        busy.start()
        while len(out.read_text().splitlines()) < 12:
            time.sleep(0.01)
        end_ns = time.perf_counter_ns()
    done.set()
    busy.join()
    assert not psutil.pid_exists(pid)
    head, samples = telemetry.read(out)
    assert samples[0]["t_ns"] < begin_ns < end_ns < samples[-1]["t_ns"]
    found = telemetry.reduce(head, samples, begin_ns, end_ns)
    assert found["samples"] >= 5
    assert found["engine_cpu_s"] > 0
    assert found["engine_rss_max_bytes"] > 10 * 2**20
    assert 0 < (pss_bytes([os.getpid()]) or 0) <= 1.1 * psutil.Process().memory_info().rss
    assert pss_bytes([pid]) is None
    assert out.read_text().endswith("\n")


def test_killed_it_stops_nobody_and_its_window_is_not_valid(tmp_path: Path) -> None:
    out = tmp_path / telemetry.FILE
    with telemetry.watching(telemetry.Order(out, 0.02)) as pid:
        os.kill(pid, signal.SIGKILL)
    head, samples = telemetry.read(out)
    assert samples
    assert telemetry.reduce(head, samples, samples[-1]["t_ns"], samples[-1]["t_ns"] + S)["power_valid"] is False
