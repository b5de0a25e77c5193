"""Holt-Winters against the season it should find, a trend that the naive one misses, and bad input."""

import pytest

from workbench.adapters.forecast_holt_winters import HoltWinters, predictive_holt_winters
from workbench.control.capacity.predictive import SeasonalNaive
from workbench.control.capacity.protocol import Forecaster, Observed

pytest.importorskip("statsmodels", reason="the package statsmodels is not installed (pip install statsmodels)")
SEASON = [10, 12, 20, 40, 60, 80, 90, 80, 60, 40, 20, 12]


def errors(forecaster: Forecaster, demand: list[int]) -> int:
    """Sum of what the next slot's forecast is off, once both know a season or two."""
    total = 0
    for slot, now in enumerate(demand[:-1]):
        forecaster.observe(slot * 100, now)
        guess = forecaster.forecast(slot * 100, 100)
        if slot >= 3 * len(SEASON):
            assert guess is not None
            total += abs(guess - demand[slot + 1])
    return total


def test_with_growth_it_beats_the_seasonal_naive_one() -> None:
    demand = [x + 2 * i for i, x in enumerate(SEASON * 6)]
    ours, naive = errors(HoltWinters(1200, 100), demand), errors(SeasonalNaive(1200, 100), demand)
    assert naive == 24 * (len(demand) - 1 - 36)  # a season's growth, each time
    assert ours <= 5 < 60 < naive


def test_it_says_nothing_before_two_seasons_and_never_less_than_none() -> None:
    forecaster = HoltWinters(400, 100)
    for slot in range(13):
        forecaster.observe(slot * 100, 100 - 8 * slot)
        assert forecaster.forecast(slot * 100, 100) is None
    forecaster.observe(1300, 0)
    assert [forecaster.forecast(1300, ahead_ns) for ahead_ns in (0, 100, 400, 500)] == [0, 0, 0, None]


def test_two_runs_forecast_the_same_and_gaps_are_filled() -> None:
    runs = []
    for _ in range(2):
        forecaster = HoltWinters(400, 100)
        for slot in (0, 1, 2, 3, 5, 6, 7, 8, 8, 9, 12, 13, 14, 15):
            forecaster.observe(slot * 100, (slot % 4) * 10)
        runs.append([forecaster.forecast(1500, ahead_ns) for ahead_ns in (100, 200, 300, 400)])
    assert runs[0] == runs[1]
    assert None not in runs[0]


def test_by_name_it_scales_ahead() -> None:
    scaler = predictive_holt_winters(1200, 100, slots=10, service_ns=100, drain_ns=1000, cold_ns=200)
    wanted = [scaler.decide(slot * 100, Observed(9, running=x, arrived=x)) for slot, x in enumerate(SEASON * 4)]
    # two slots ahead of the season from the third on
    assert all(w >= (wanted_then := -(-SEASON[(36 + i + 2) % 12] // 10)) and w <= wanted_then + 4
               for i, w in enumerate(wanted[36:]))
    with pytest.raises(ValueError, match="season_ns: 150 is not two or more times slot_ns 100"):
        HoltWinters(150, 100)
