"""MSER-5 against its definition, on series with a known transient, and where it must refuse."""

import numpy as np
import pytest

from workbench.stats.warmup import BATCH, mser5

Floats = np.ndarray


def by_definition(values: Floats) -> int:
    """The slow way, as the paper writes it."""
    means = [float(np.mean(values[i : i + BATCH])) for i in range(0, len(values) - BATCH + 1, BATCH)]
    m = len(means)
    scores = [float(np.var(means[d:])) * (m - d) / (m - d) ** 2 for d in range(m - 4)]
    return int(np.argmin(scores)) * BATCH


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(5, 1, 203) + 20 * np.exp(-np.arange(203) / (1 + 3 * seed))
    found = mser5(values)
    cut = by_definition(values)
    assert found.cut == (cut if cut <= 100 else None)


def test_finds_a_step_to_the_batch() -> None:
    rng = np.random.default_rng(1)
    values = np.r_[np.full(60, 9.0), np.full(440, 1.0)] + rng.normal(0, 0.1, 500)
    assert mser5(values).cut == 60
    assert mser5(values[::-1]).cut is None, "a disturbance at the end is no warm-up"


def test_removes_bias() -> None:
    """M/M/1-like approach to the mean: the rest's mean is closer to the truth than the whole's, over many series."""
    rng = np.random.default_rng(2)
    whole, rest = [], []
    for _ in range(200):
        series = 10 * (1 - np.exp(-np.arange(1000) / 80)) + rng.normal(0, 1, 1000)
        found = mser5(series)
        assert found.cut is not None
        whole.append(series.mean() - 10)
        rest.append(series[found.cut :].mean() - 10)
    assert abs(np.mean(rest)) < abs(np.mean(whole)) / 5


def test_a_growing_queue_has_no_steady_state() -> None:
    found = mser5(np.arange(500.0))
    assert found.cut is None
    assert "more than half" in str(found.why_not)


def test_too_few_and_constant() -> None:
    assert "too few" in str(mser5(np.arange(49.0)).why_not)
    assert mser5(np.ones(50)).cut == 0
