"""Rates that are too much: cut short and labelled, and rates above them not tried where that is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standin import Faults, Service, service

from workbench.bench import pileup
from workbench.config import parse
from workbench.errors import UsageError
from workbench.flows.sweeps.budget import Budget
from workbench.flows.sweeps.run import Sweep
from workbench.flows.sweeps.spec import SweepSpec
from workbench.flows.sweeps.store import read_rows
from workbench.runlog.table import read

TEXT = """
name = "t"
[[engine]]
name = "fake"
[[workload]]
name = "w"
requests = 240
prompt_tok = { kind = "fixed", tok = 8 }
output_tok = { kind = "fixed", tok = 2 }
[load]
rate_per_s = [80.0, 250.0, 500.0]
arrivals = { kind = "fixed" }
"""
PER_TOKEN = {"window_usd", "usd_per_million_output_tok", "usd_per_million_tok", "j_per_output_tok", "j_per_tok"}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(pileup, "LEAST_S", 0.3)
    with service() as found:
        found.one_at_a_time_s = 0.01  # so that 100 a second are carried
        yield found


def rows_of(text: str, folder: Path, served: Service) -> dict[float, dict[str, Any]]:
    sweep = Sweep(parse(SweepSpec, text, "t.toml"), folder, Budget.begin(None, None, None))
    sweep.start = Faults(served, []).start
    sweep.run()
    return {row["asked"]["rate_per_s"]: row for row in read_rows(folder)}


def test_a_rate_at_which_answers_pile_up_is_cut_short_and_labelled(served: Service, tmp_path: Path) -> None:
    rows = rows_of(TEXT, tmp_path, served)
    assert (rows[80.0]["status"], rows[80.0]["guards"]["saturated"]) == ("ok", False)
    for rate in (250.0, 500.0):
        assert rows[rate]["failure"]["kind"] == "over-saturated"
        assert "requests wait after" in rows[rate]["failure"]["message"]
        log = read(tmp_path / "points" / rows[rate]["id"] / "run.parquet")
        assert log.partial
        assert sum(log.outcomes().values()) == 240 > log.outcomes()["ok"]
    assert all(row.keys() >= PER_TOKEN for row in rows.values())


def test_rates_above_one_that_was_too_much_are_not_tried_where_that_is_asked_for(
    served: Service, tmp_path: Path
) -> None:
    text = TEXT.replace("[80.0, 250.0, 500.0]", "[80.0, 250.0, 300.0, 350.0, 500.0]") + "skip_above_saturated = true\n"
    rows = rows_of(text, tmp_path, served)
    kinds = {rate: (row["failure"] or {}).get("kind") for rate, row in rows.items()}
    assert kinds == {80.0: None, 500.0: "over-saturated", 300.0: "over-saturated", 250.0: "over-saturated",
                     350.0: "not tried"}
    assert "350/s is above 250/s" in rows[350.0]["failure"]["message"]
    assert rows[350.0].keys() >= PER_TOKEN


def spec(workload: str, load: str = "rate_per_s = [4.0]") -> SweepSpec:
    head, _, _ = TEXT.partition("[load]")
    return parse(SweepSpec, head.replace("requests = 240", workload) + "[load]\n" + load, "t.toml")


def test_a_workloads_own_shape_is_scaled_by_the_rate() -> None:
    bursts = spec('requests = 9\narrivals = { kind = "bursts", rate_per_s = 1.0, bursts = [{ at_s = 1, for_s = 1, '
                  'rate_per_s = 6.0 }] }').drawn_from("w", 4.0).arrivals
    assert (bursts.rate_per_s, bursts.bursts[0].rate_per_s) == (4.0, 24.0)  # type: ignore[union-attr]
    day = spec("requests = 9", 'rate_per_s = [2.0]\narrivals = { kind = "diurnal", swing_frac = 0.5, period_s = 80.0 }')
    assert (day.drawn_from("w", 2.0).arrivals.kind, day.drawn_from("w", 2.0).arrivals.rate_per_s) == (  # type: ignore[union-attr]
        "diurnal", 2.0)
    closed = spec('requests = 9\narrivals = { kind = "fixed", rate_per_s = 1.0 }', "concurrency = [2]")
    assert closed.drawn_from("w", None).is_closed
    with pytest.raises(UsageError, match="of a kind with a rate"):
        spec("requests = 9", 'rate_per_s = [2.0]\narrivals = { kind = "bursts" }')


def test_a_traces_own_times_are_stretched_to_the_rate() -> None:
    text = TEXT.partition("requests = 240")[0] + """
arrivals = { kind = "trace" }
trace = { file = "x.csv", format = "azure", speed = 3.0 }
[load]
rate_per_s = [4.0]
"""
    found = parse(SweepSpec, text, "t.toml").drawn_from("w", 4.0)
    assert found.arrivals is None
    assert (found.trace.rate_per_s, found.trace.speed) == (4.0, None)  # type: ignore[union-attr]
