"""Intervals against textbook values and against coverage over seeds."""

import numpy as np
import pytest

from workbench.stats.intervals import batch_means, half_range_frac, t_interval, wilson
from workbench.stats.quantiles import enough, quantile


def test_t_interval_textbook() -> None:
    found = t_interval(np.array([1.0, 2.0, 3.0]))  # t(0.975, 2) = 4.302653, s = 1
    assert found.mean == 2
    assert found.high - found.mean == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert not found.excludes_zero
    assert t_interval(np.array([5.0, 5.1, 4.9])).excludes_zero
    with pytest.raises(ValueError, match="at least two"):
        t_interval(np.array([1.0]))


def test_wilson_textbook() -> None:
    found = wilson(8, 10)  # Wilson 1927: (0.4902, 0.9433)
    assert (round(found.low, 4), round(found.high, 4)) == (0.4902, 0.9433)
    assert wilson(0, 10).low == pytest.approx(0)
    assert wilson(10, 10).high == pytest.approx(1)
    with pytest.raises(ValueError, match="no proportion"):
        wilson(3, 2)


def test_t_interval_covers_95_percent() -> None:
    rng = np.random.default_rng(1)
    n = 2000
    hits = 0
    for _ in range(n):
        found = t_interval(rng.normal(5, 2, 5))
        hits += found.low <= 5 <= found.high
    assert abs(hits / n - 0.95) < 3 * (0.95 * 0.05 / n) ** 0.5


def test_batch_means_is_wider_than_independence_on_a_correlated_series() -> None:
    rng = np.random.default_rng(2)
    noise, series = rng.normal(size=4000), np.zeros(4000)
    for i in range(1, 4000):
        series[i] = 0.95 * series[i - 1] + noise[i]
    naive, honest = t_interval(series), batch_means(series, 10)
    assert honest.high - honest.low > 3 * (naive.high - naive.low)
    with pytest.raises(ValueError, match="cannot make"):
        batch_means(series[:5], 10)


def test_half_range() -> None:
    assert half_range_frac(np.array([9.0, 10.0, 11.0])) == pytest.approx(0.1)
    assert half_range_frac(np.array([9.0])) is None


def test_quantiles_admit_when_n_is_too_small() -> None:
    assert quantile(np.arange(5.0), 0.5) is None
    assert quantile(np.arange(6.0), 0.5) == 2.5
    assert enough(60, 0.95)
    assert not enough(59, 0.95)
