"""Replicas, failures, queues, autoscalers and forecasts of servers whose answers are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_server import server, write_server

from sims.rules import LlamaCppRules
from sims.run import simulate
from workbench.cli.main import main
from workbench.config import parse, read_text
from workbench.economics.capacity_spec import CapacitySpec, ForecastSpec
from workbench.errors import ConfigError, Failure, UsageError
from workbench.flows.capacity import capacity
from workbench.flows.forecast import forecast, read_series
from workbench.flows.queue_depth import queue_depth
from workbench.flows.trial import Bench
from workbench.metrics import Slo
from workbench.paths import data
from workbench.runlog.schema import Planned
from workbench.runlog.table import write
from workbench.stats.intervals import t_interval
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

SERVER = server()
TEXT = """
window_s = 2
day_s = 4
seeds = [1, 2]
down = 2
[load]
mean_rate_per_s = 150
weights = [1, 3]
prompt_tok = { kind = "fixed", tok = 1 }
output_tok = { kind = "fixed", tok = 1 }
[slo]
ttft_s = 0.05
attainment_frac = 0.9
[serves]
profile = "server.json"
cold_start_s = 0.1
[session]
think_s = 0.2
requests_per_user = 4
most_users = 40
[[scaler]]
name = "tracking"
policy = { name = "target_tracking", parameters = { target_ppm = 700000 } }
every_s = 0.2
in_s = 0.5
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_server(tmp_path)


def test_the_whole_answer(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base / "capacity.toml").write_text(TEXT, encoding="utf-8")
    main(["capacity", str(base / "capacity.toml"), "--out", str(base / "out")])
    found = json.loads((base / "out" / "capacity.json").read_text())
    needed = found["replicas"]
    assert needed >= 3  # 225 a second of 10 ms each
    alive = {row["replicas"]: row for row in found["failure"]}
    assert list(alive) == [needed + 1, needed, needed - 1]
    assert alive[needed + 1]["met"]
    assert alive[needed]["met"]
    assert alive[needed - 1]["why_not"]
    depths = [row["queue_depth"]["mean"] for row in found["failure"]]
    assert depths == sorted(depths)
    users = found["users"]
    assert users["simulated"]["met"]
    assert not users["too_many"]["met"]
    assert users["simulated"]["throughput_rps"]["mean"] <= users["bounds"]["heavy_rps"] * 1.001
    fixed, tracking = found["scalers"]
    assert fixed["replicas_mean"]["mean"] == pytest.approx(needed)
    assert tracking["replicas_mean"]["mean"] < needed + 1
    assert f"{needed} replicas keep the SLO at the peak of 225 requests/s" in capsys.readouterr().out


def bench(rate: float) -> Bench:
    workload = parse(WorkloadSpec, f"""
requests = 100
arrivals = {{ kind = "poisson", rate_per_s = {rate} }}
prompt_tok = {{ kind = "fixed", tok = 1 }}
output_tok = {{ kind = "lognormal", mean_tok = 2, sigma = 0.5, max_tok = 6 }}
""", "workload")
    return Bench(SERVER, LlamaCppRules(slots=1), tuple(draw(workload, seed) for seed in (1, 2, 3)), Slo(0.05), 0.9)


@given(rate=st.integers(20, 400), replicas=st.integers(1, 5))
@settings(max_examples=8)
def test_one_more_replica_never_serves_fewer_beyond_the_paired_interval(rate: int, replicas: int) -> None:
    one, more = (bench(rate).trial(n).per_seed for n in (replicas, replicas + 1))
    pairs = list(zip(one, more, strict=False))  # a hopeless fleet is shown by two seeds
    paired = t_interval(np.array([b - a for a, b in pairs]))
    assert paired.high >= 0
    assert paired.mean >= -0.02


def test_the_queue_of_a_server_by_hand() -> None:
    """Four at once on one server of 10 ms: three, two, one wait for 10 ms each."""
    log = simulate([Planned(f"r{i}", 0, 1, 1) for i in range(4)], SERVER, LlamaCppRules(slots=1)).log
    assert queue_depth(log) == {"mean": pytest.approx(6 / 4), "p95": 3.0, "p99": 3.0, "max": 3.0}


@given(st.lists(st.integers(0, 200_000_000), min_size=1, max_size=30))
def test_the_mean_queue_is_littles_law(arrivals: list[int]) -> None:
    log = simulate([Planned(f"r{i}", at, 1, 1) for i, at in enumerate(arrivals)], SERVER, LlamaCppRules(slots=1)).log
    waited = float((log.floats("start_ns") - log.floats("sent_ns")).sum())
    span = float(log.floats("end_ns").max() - log.floats("sent_ns").min())
    assert queue_depth(log)["mean"] * span == pytest.approx(waited, abs=1e-3)


SEASON = [10.0, 12, 20, 40, 60, 80, 90, 80, 60, 40, 20, 12]


def test_a_forecast_with_its_backtest(tmp_path: Path) -> None:
    """Growth by 2 a slot: the naive one is a season's growth behind, Holt-Winters is not."""
    (tmp_path / "a.csv").write_text("requests\n" + "\n".join(str(x + 2 * i) for i, x in enumerate(SEASON * 5)))
    found = forecast(ForecastSpec(file="a.csv", column="requests", slot_s=10, season_slots=12), tmp_path)
    rows = {row["name"]: row for row in found["backtest"]}
    assert rows["seasonal naive"]["mean_abs"] == pytest.approx(24)
    assert rows["seasonal naive"]["bias"] == pytest.approx(24)
    assert found["best"] == "Holt-Winters"
    assert found["peak_rps"] == pytest.approx((90 + 2 * 66) / 10, rel=0.05)
    assert len(found["season_ahead"]) == 12


def test_a_run_log_is_its_own_series(tmp_path: Path) -> None:
    """Two, one and three in three slots of a second, again and again; the last slot is not over."""
    times_ms = [0, 500, 1200, 2100, 2200, 2999]
    plans = [Planned(f"{season}/{at}", (3000 * season + at) * 10**6, 1, 1) for season in range(4) for at in times_ms]
    log = simulate(plans, SERVER, LlamaCppRules(slots=1)).log
    write(log, tmp_path / "run.parquet")
    spec = ForecastSpec(file="run.parquet", slot_s=1.0, season_slots=3)
    assert read_series(spec, tmp_path) == [2.0, 1.0, 3.0] * 3 + [2.0, 1.0]
    assert forecast(spec, tmp_path)["peak_rps"] == 3.0
    with pytest.raises(UsageError, match="a backtest needs three seasons, 12"):
        read_series(spec.model_copy(update={"season_slots": 4}), tmp_path)


@pytest.mark.parametrize(("text", "message"), [
    ("1\n2\nmany\n", "value 3: 'many' is no number"), ("1 -2", "0 or more"), ("1 2 3", "3 slots; a backtest needs"),
    ("1 nan", "0 or more"),
])
def test_a_bad_series_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        forecast(ForecastSpec(file="a.txt", season_slots=12), tmp_path)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("target_tracking", "target_trackin", "did you mean 'target_tracking'"),
    ("[session]", '[forecast]\nfile = "../x"\n[session]', "leads out of"),
    ("think_s = 0.2", "think_s = 0", "greater"), ("seeds = [1, 2]", "seeds = [1, 1]", "seeds"),
    ("ttft_s = 0.05", "ttft_s = 0.001", "unreachable"), ("window_s = 2", "window_s = 2\nmax_replicas = 1",
                                                               "capacity binds"),
])
def test_what_is_wrong_is_one_line(base: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises((UsageError, ConfigError, Failure), match=message):
        capacity(parse(CapacitySpec, TEXT.replace(old, new, 1), "capacity.toml"), base)


def test_the_example_is_understood() -> None:
    found: Any = parse(CapacitySpec, read_text(data("examples") / "capacity.toml"), "capacity.toml")
    assert len(found.scaler) == 2


@pytest.mark.slow
def test_the_example_runs() -> None:
    path = data("examples") / "capacity.toml"
    assert capacity(parse(CapacitySpec, read_text(path), path.name), path.parent)["replicas"] >= 2
