"""The search against engines whose limit is known, guards against runs made for them, ranks against known means."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.flows.sweeps.guards import disturbed, guards, others_frac, saturated
from workbench.flows.sweeps.points import Point, Setting
from workbench.flows.sweeps.ranking import best_and_rivals, next_repeats, pairs
from workbench.flows.sweeps.search import HALVINGS, Found, next_point, verdict
from workbench.flows.sweeps.slo import attained
from workbench.flows.sweeps.spec import Decide, SearchSpec, SweepSpec
from workbench.metrics import Slo
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Row
from workbench.runlog.table import RunLog
from workbench.stats.trend import trend

S = 1_000_000_000
ONE = Setting("fake", "", "", 0, {})


def spec(**search: Any) -> SweepSpec:
    return SweepSpec.model_validate({
        "name": "t", "engine": [{"name": "fake"}], "workload": [{"name": "w"}],
        "load": {"search": {"slo": {"ttft_s": 1.0}} | search},
    })


def row(point: Point, frac: float, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    slo = {"attainment_frac": frac, "low": low, "high": high, "saturated": False}
    asked = {"asked": point.as_dict(), "setting_key": point.setting.key, "id": point.id}
    return {"status": "ok", "slo": slo} | asked | more


def searched(limit: float, **search: Any) -> tuple[Found, list[float]]:
    """Run the search on an engine that meets the SLO up to `limit` and not above it."""
    one, rows = spec(**search), list[dict[str, Any]]()
    while not isinstance(found := next_point(one, ONE, "w", rows), Found):
        good = (found.rate_per_s or 0) <= limit
        rows.append(row(found, float(good), float(good), float(good)))
        assert len(rows) < 60
    return found, [item["asked"]["rate_per_s"] for item in rows]


@given(st.floats(0.05, 400), st.floats(0.1, 10), st.floats(0.02, 0.5))
def test_the_rate_found_meets_and_one_just_above_it_was_tried_and_does_not(
    limit: float, begin: float, within: float
) -> None:
    found, tried = searched(limit, from_rate_per_s=begin, most_rate_per_s=1e4, within_frac=within)
    if found.rate_per_s is None:
        assert limit < begin / 2 ** (HALVINGS - 1)
        return
    assert found.rate_per_s <= limit < (found.failed_at or 0)
    assert found.failed_at is not None
    assert found.failed_at <= found.rate_per_s * (1 + within) * 1.01  # rates have three figures
    assert len(tried) == len(set(tried)) == found.rates_tried


def test_the_limit_of_the_search_is_said() -> None:
    found, tried = searched(1e9, from_rate_per_s=1.0, most_rate_per_s=6.0)
    assert (found.rate_per_s, tried) == (6.0, [1.0, 2.0, 4.0, 6.0])
    assert "the limit is above it" in found.why


def test_undecided_rates_are_repeated_with_other_seeds_and_then_do_not_count_as_met() -> None:
    one, rows = spec(repeats=3, from_rate_per_s=1.0), list[dict[str, Any]]()
    seen = []
    for _ in range(4):
        found = next_point(one, ONE, "w", rows)
        assert isinstance(found, Point)
        seen.append((found.rate_per_s, found.repeat, found.seed))
        rows.append(row(found, 0.9 + 0.08 * (found.repeat % 2), 0.8, 1.0))
    assert seen == [(1.0, 0, 0), (1.0, 1, 1), (1.0, 2, 2), (0.5, 0, 0)]


def test_a_verdict_needs_the_whole_interval_and_saturation_decides_at_once() -> None:
    search = SearchSpec.model_validate({"slo": {"ttft_s": 1.0}, "target_frac": 0.9})
    point = Point(ONE, "w", 1.0, None, 0, 0, True)
    assert verdict(search, [row(point, 0.95, 0.91, 0.99)]) == "meets"
    assert verdict(search, [row(point, 0.95, 0.89, 0.99)]) == "undecided"
    assert verdict(search, [row(point, 0.8, 0.7, 0.89)]) == "fails"
    assert verdict(search, [row(point, 1.0, 1.0, 1.0, status="failed")]) == "fails"
    full = row(point, 1.0, 1.0, 1.0)
    full["slo"] = full["slo"] | {"saturated": True}
    assert verdict(search, [full]) == "fails"


def log_of(took_s: list[float], *, gap_s: float = 0.1, **more: Any) -> RunLog:
    rows = [Row(request_id=f"r{i:04d}", intended_ns=round(i * gap_s * S), sent_ns=round(i * gap_s * S),
                first_token_ns=round((i * gap_s + took / 2) * S), last_token_ns=round((i * gap_s + took) * S),
                end_ns=round((i * gap_s + took) * S), output_tok=4, prompt_tok=10, outcome="ok", **more)
            for i, took in enumerate(took_s)]
    client = {"client_limited": False, "reasons": []}
    return RunLog.from_rows(Provenance("real", "2026-11-23T00:00:00Z", client=client), rows)


NO_GPU: dict[str, Any] = {"gpus": []}


def test_a_queue_that_grows_is_saturated_and_not_steady_and_a_level_one_is_neither() -> None:
    level = log_of([0.2 + 0.01 * (i % 7) for i in range(100)])
    growing = log_of([0.2 + 0.1 * i for i in range(100)])
    assert (saturated(level), saturated(growing)) == (False, True)
    assert guards(level, {}, {}, NO_GPU, shares_prefix=False)["warnings"] == []
    assert saturated(log_of([1.0] * 20)) is False  # long answers, and a short run: nothing piles up
    found = guards(growing, {}, {}, NO_GPU, shares_prefix=False)
    assert found["steady"]["steady"] is False
    assert found["warnings"] == [f"not steady: e2e_s changed by {found['steady']['change_frac']:+.0%} over the run"]


def test_a_cache_hit_that_nobody_asked_for_and_preemptions_are_warned_of() -> None:
    log = log_of([0.2] * 40, cached_tok=5)
    found = guards(log, {"preemptions": 2.0}, {"preemptions": 5.0}, NO_GPU, shares_prefix=False)
    assert found["prefix"]["hit_frac"] == 0.5
    assert found["preemptions"] == 3.0
    assert len(found["warnings"]) == 2
    assert guards(log, {}, {}, NO_GPU, shares_prefix=True)["warnings"] == []
    counted = guards(log_of([0.2] * 40), {"cached_tok": 0.0}, {"cached_tok": 40.0}, NO_GPU, shares_prefix=False)
    assert counted["prefix"]["hit_frac"] == 0.1
    unknown = guards(log_of([0.2] * 40), {}, {}, NO_GPU, shares_prefix=False)
    assert (unknown["prefix"]["hit_frac"], unknown["preemptions"]) == (None, None)


def test_what_neither_engine_nor_client_used_is_others_work() -> None:
    seen = {"cpu_busy_frac": 0.75, "engine_cpu_s": 9.0, "samples": 10, "window_s": 10.0}  # 3 cores busy, the engine 1
    assert others_frac(seen, 0.5, 4) == pytest.approx((3 - 1 - 0.5) / 4)
    assert others_frac(seen | {"cpu_busy_frac": 0.25}, 0.5, 4) == 0.0  # clocks differ: never below nothing
    for unknown in ({"cpu_busy_frac": None}, {"engine_cpu_s": None}, {"samples": 1}, {"window_s": 0.0}):
        assert others_frac(seen | unknown, 0.5, 4) is None
    log = log_of([0.2] * 40)
    idle = NO_GPU | seen | {"engine_cpu_s": 0.0}
    found = guards(log, {}, {}, idle, shares_prefix=False)
    assert found["warnings"] == ["other programs kept 75% of the machine's cores busy"]
    assert disturbed({"guards": found})
    assert not disturbed({"guards": guards(log, {}, {}, idle | {"cpu_busy_frac": 0.2}, shares_prefix=False)})
    assert not disturbed({"guards": {}})


def test_few_values_have_no_trend_and_noise_has_one_rarely() -> None:
    assert trend(np.ones(29)).drifts() is None
    noise = np.random.default_rng(1)
    said = [trend(1 + noise.normal(0, 0.5, 100)).drifts() for _ in range(300)]
    assert sum(map(bool, said)) <= 9  # expected 3 at a level of 1 %; 3 sigma
    assert trend(np.linspace(1, 2, 100)).drifts() is True


def test_attainment_is_a_share_with_an_interval_by_batches() -> None:
    found = attained(log_of([0.5] * 90 + [3.0] * 10), Slo(ttft_s=1.0))
    assert found["attainment_frac"] == 0.9
    assert found["low"] < 0.9 < found["high"] == 1.0  # the ten stand together: one batch of ten
    assert attained(log_of([0.5] * 5), Slo(ttft_s=1.0))["low"] is None


def measured(key: str, value: float, repeat: int) -> dict[str, Any]:
    point = Point(Setting("fake", key, "", 0, {}), "w", None, 1, repeat, repeat)
    return {"status": "ok", "id": point.id, "asked": point.as_dict(), "setting_key": key, "usd_per_million_tok": None,
            "metrics": {"output_tok_per_s": value}}


def runs(**values: list[float]) -> dict[str, list[dict[str, Any]]]:
    return {key: [measured(key, value, i) for i, value in enumerate(found)] for key, found in values.items()}


def test_two_are_ranked_only_where_the_interval_leaves_out_zero() -> None:
    [far] = pairs(runs(a=[10.0, 10.1, 9.9], b=[20.0, 20.1, 19.9]), "output_tok_per_s")
    assert far.better == "b"
    assert far.low is not None
    assert far.low > 0
    [near] = pairs(runs(a=[10.0, 12.0, 8.0], b=[11.0, 13.0, 9.0]), "output_tok_per_s")
    assert near.better is None
    [once] = pairs(runs(a=[10.0], b=[20.0, 21.0]), "output_tok_per_s")
    assert (once.better, once.why_not) == (None, "fewer than two repeats")


def test_repeats_go_to_the_best_and_to_who_cannot_be_told_from_it() -> None:
    found = runs(a=[10.0, 10.1, 9.9], b=[20.0, 22.0, 18.0], c=[21.0, 19.0, 20.5])
    assert set(best_and_rivals(found, "output_tok_per_s")) == {"b", "c"}
    rows = [item for group in found.values() for item in group]
    more = next_repeats(Decide(metric="output_tok_per_s", repeats=4), 0, rows)
    assert sorted((point.setting.model, point.repeat) for point in more) == [("b", 3), ("c", 3)]
    assert next_repeats(Decide(metric="output_tok_per_s", repeats=3), 0, rows) == []


def test_a_search_is_refused_without_anything_demanded() -> None:
    with pytest.raises(ValueError, match="nothing is demanded"):
        spec(slo={})
