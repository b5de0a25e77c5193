"""Paired tests, clustered errors and power: scipy and statsmodels as oracles, coverage by simulation, symmetry."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.stats.accuracy import accuracy, clustered_error, design_effect
from workbench.stats.intervals import wilson
from workbench.stats.pairs import bootstrap, mcnemar, pairs
from workbench.stats.power import least_difference, mcnemar_power
from workbench.stats.verdict import verdict

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    known = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(known)


def test_mcnemar_textbook() -> None:
    assert mcnemar(0, 5) == pytest.approx(0.0625)  # five heads of five, both sides
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)


@given(ANSWERS)
def test_the_paired_comparison_is_symmetric(answers: list[tuple[bool, bool]]) -> None:
    first, second = np.array(answers, dtype=float).T
    one, other = pairs(first, second, draws=400), pairs(second, first, draws=400)
    assert one.p == other.p
    assert (one.only_first, one.only_second) == (other.only_second, other.only_first)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.difference.high == pytest.approx(-other.difference.low)


@given(ANSWERS)
def test_an_item_is_compared_with_itself(answers: list[tuple[bool, bool]]) -> None:
    first, second = np.array(answers, dtype=float).T
    found = pairs(first, second, draws=200)
    assert found.changed == (first != second).sum()
    assert found.difference.mean == pytest.approx(second.mean() - first.mean())
    assert pairs(first, first, draws=10).p == 1.0


def test_the_bootstrap_covers() -> None:
    """Of a difference of right answers; a 3-sigma band below 95 %, as a percentile interval is a little narrow."""
    rng, runs, kept = np.random.default_rng(4), 300, 0
    for run in range(runs):
        change = rng.choice([-1.0, 0.0, 1.0], 60, p=[0.20, 0.50, 0.30])
        found = bootstrap(change, None, 0.95, run, 1000)
        kept += found.low <= 0.1 <= found.high
    assert kept / runs > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


def test_the_bootstrap_of_clusters_covers_where_that_of_items_does_not() -> None:
    rng, runs, kept, alone = np.random.default_rng(5), 100, 0, 0
    subjects = [number for number in range(40) for _ in range(10)]
    for run in range(runs):
        values = np.repeat(rng.normal(0, 1, 40), 10) + rng.normal(0, 0.3, 400)
        found, naive = bootstrap(values, subjects, 0.95, run, 400), bootstrap(values, None, 0.95, run, 400)
        kept += found.low <= 0 <= found.high
        alone += naive.low <= 0 <= naive.high
    assert kept / runs > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5
    assert alone / runs < 0.7


def test_a_seed_gives_one_interval() -> None:
    values = np.array([1.0, 0.0, -1.0, 0.0, 1.0] * 20)
    assert bootstrap(values, None, 0.95, 1) == bootstrap(values, None, 0.95, 1)
    assert bootstrap(values, None, 0.95, 1) != bootstrap(values, None, 0.95, 2)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), min_size=4, max_size=50))
def test_clustered_error_is_statsmodels(items: list[tuple[int, float]]) -> None:
    names, values = [name for name, _ in items], np.array([value for _, value in items])
    if len(set(names)) < 2:
        with pytest.raises(ValueError, match="two clusters"):
            clustered_error(values, names)
        return
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": np.array(names)})
    assert clustered_error(values, names) == pytest.approx(float(fit.bse[0]), abs=1e-9)


def test_accuracy_without_clusters_is_wilsons_and_with_them_never_narrower() -> None:
    right = np.array([1.0] * 8 + [0.0] * 2)
    assert accuracy(right) == wilson(8, 10)
    together = accuracy(right, ["easy"] * 8 + ["hard"] * 2)
    assert together.low < wilson(8, 10).low
    assert together.high > wilson(8, 10).high
    assert together.n == 10
    assert design_effect(np.ones(6), list("aabbcc")) == 1.0
    assert accuracy(np.ones(6), list("aabbcc")) == wilson(6, 6), "all right is not certainty"
    with pytest.raises(ValueError, match="from 0 to 1"):
        accuracy(np.array([2.0]))


@pytest.mark.parametrize(("n", "changed", "difference"), [(200, 0.1, 0.06), (60, 0.4, 0.25), (320, 0.02, 0.02)])
def test_power_is_the_share_of_tries_that_reject(n: int, changed: float, difference: float) -> None:
    rng, tries = np.random.default_rng(6), 4000
    chances = [(changed + difference) / 2, (changed - difference) / 2, 1 - changed]
    drawn = rng.multinomial(n, chances, tries)
    known = np.mean([mcnemar(int(b), int(c)) < 0.05 for b, c, _ in drawn])
    found = mcnemar_power(n, changed, difference)
    assert abs(found - known) < 3 * (found * (1 - found) / tries) ** 0.5 + 1e-3


def test_least_difference_has_the_power_asked_and_no_more() -> None:
    found = least_difference(400, 0.08)
    assert found is not None
    assert mcnemar_power(400, 0.08, found) == pytest.approx(0.8, abs=1e-3)
    more = least_difference(1600, 0.08)
    assert more is not None
    assert more < found / 1.8, "four times the items see half the difference, nearly"
    none = least_difference(320, 0.0)
    assert none is not None
    assert 6 / 320 < none < 10 / 320, "six items one way reject; a difference that gives as many nearly always"
    assert least_difference(5, 0.0) is None, "five items never reject"
    with pytest.raises(ValueError, match="at least as many"):
        mcnemar_power(10, 0.1, 0.2)


def test_five_changes_one_way_are_not_yet_a_difference() -> None:
    first = np.ones(320)
    second = first.copy()
    second[:5] = 0  # the bootstrap alone would call it one
    assert pairs(first, second).difference.excludes_zero
    found = verdict("F16", "Q4_0", (first, second))
    assert not found.different
    assert found.better is None
    assert found.words.startswith("not distinguishable from F16 on 320 items")
    second[5] = 0  # p = 2 / 64
    found = verdict("F16", "Q4_0", (first, second))
    assert found.better == "F16"
    assert found.words.startswith("1.9 ± ")
    assert found.words.endswith(" points lower than F16")
    assert not verdict("F16", "Q4_0", (first, second), family=8).different, "one of eight rows needs more"
