"""Over-saturation: a load that is carried is never cut off, whatever its bursts; one that is not, in time."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import PROVENANCE, Reply, plain_answer, serving

from workbench.bench import pileup
from workbench.bench.pileup import PileUp
from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.runlog.schema import Planned

SPAN_S = 100.0


def watched(load_frac: float, seed: int, answer_s: float = 0.2, servers: int = 1) -> float | None:
    """When a queue with fixed service, asked at this share of what it carries for 100 s, would be stopped."""
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(answer_s / servers / load_frac, round(SPAN_S * load_frac * servers / answer_s)))
    due *= SPAN_S / due[-1]
    free, ends = np.zeros(servers), []
    for at in due:
        which = int(free.argmin())
        free[which] = max(free[which], at) + answer_s
        ends.append(free[which])
    end, watch = np.sort(ends), PileUp(SPAN_S)
    for now in np.arange(0.2, end[-1], 0.2):
        done = int(np.searchsorted(end, now, side="right"))
        if watch.saw(float(now), done, int(np.searchsorted(due, now, side="right")) - done):
            assert watch.why is not None
            return float(now)
    return None


@settings(max_examples=40)
@given(st.floats(0.1, 0.97), st.integers(0, 10_000), st.sampled_from([1, 8]))
def test_a_load_that_is_carried_is_never_cut_off(load: float, seed: int, servers: int) -> None:
    assert watched(load, seed, servers=servers) is None


@settings(max_examples=20)
@given(st.floats(1.8, 10), st.integers(0, 10_000))
def test_one_that_is_not_ends_when_what_waits_is_half_the_sending_time(load: float, seed: int) -> None:
    at_s = watched(load, seed)
    ideal_s = SPAN_S / 2 / (load - 1)  # then (load - 1) * t of work waits
    assert at_s is not None
    assert 0.5 * ideal_s - 3 <= at_s <= 1.6 * ideal_s + 6


def test_long_answers_are_no_pile() -> None:
    watch = PileUp(1.0)
    assert not any(watch.saw(at / 10, max(0, at - 600), 600) for at in range(1, 3000))  # 60 s each, 10 a second


async def _slow(reply: Reply) -> None:
    await asyncio.sleep(0.02 * (reply.index + 1))  # each waits for all before it
    await plain_answer(reply)


def test_a_real_run_is_cut_short_labelled_and_loses_no_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pileup, "LEAST_S", 0.5)
    schedule = [Planned(f"r{i:03d}", i * 2_000_000, 7, 2) for i in range(300)]  # due within 0.6 s, served within 6
    with serving(_slow) as server:
        target = Target(url=f"http://127.0.0.1:{server.port}", model="m", timeout_s=20.0)
        log = run(target, schedule, ["hello"] * 300, tmp_path / "run.parquet", PROVENANCE, stop_over_saturation=True)
    outcomes = log.outcomes()
    assert log.partial
    assert "requests wait after" in log.provenance.client["over_saturated"]
    assert outcomes["ok"] >= 10
    assert outcomes["cancelled"] > 100
    assert sum(outcomes.values()) == 300
