"""Estimates against scipy and textbooks, two-stage and joint coverage by simulation, Holm against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.stats.estimate import Estimate, independent, mean_of, paired
from workbench.stats.simultaneous import each_level, simultaneous
from workbench.stats.two_stage import estimate, needed

A = np.array([10.2, 11.7, 9.9, 12.4, 10.8])
B = np.array([10.9, 12.1, 10.8, 12.9, 11.4])


def test_paired_is_scipys_paired_t() -> None:
    found, known = paired(A, B), stats.ttest_rel(B, A)
    ends = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.interval().low, found.interval().high) == pytest.approx((ends.low, ends.high))
    with pytest.raises(ValueError, match="equal numbers"):
        paired(A, B[:4])


def test_independent_is_scipys_welch() -> None:
    found, known = independent(A, B[:4]), stats.ttest_ind(B[:4], A, equal_var=False)
    ends = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.interval().low, found.interval().high) == pytest.approx((ends.low, ends.high))


def test_common_random_numbers_see_what_independent_runs_do_not() -> None:
    assert paired(A, B).interval().excludes_zero
    assert not independent(A, B).interval().excludes_zero


def test_one_replication_has_no_interval() -> None:
    for call in (lambda: mean_of(A[:1]), lambda: independent(A[:1], B)):
        with pytest.raises(ValueError, match="at least two replications"):
            call()


def test_without_spread_p_is_certain() -> None:
    same = np.zeros(4)
    assert paired(same, same).p == 1.0
    assert paired(same, same + 1).p == 0.0
    assert not paired(same, same).interval().excludes_zero
    assert independent(same, same + 1).interval().excludes_zero


def test_adjusted_p_values_textbook() -> None:
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") and "bonferroni"."""
    family = [_with_p(p) for p in (0.01, 0.04, 0.03, 0.005)]
    found = simultaneous(family)
    assert [item.p_holm for item in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [item.p for item in found] == pytest.approx([0.04, 0.16, 0.12, 0.02])
    assert [item.different for item in found] == [True, False, False, True]
    assert {item.level for item in found} == {1 - 0.05 / 4}
    assert simultaneous([]) == ()
    assert simultaneous(family[:1])[0].interval == family[0].interval(0.95), "a family of one: an ordinary interval"


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12))
def test_intervals_decide_as_their_p_values(values: list[float]) -> None:
    for item in simultaneous([_with_p(p) for p in values]):
        assert item.p_holm <= item.p
        if abs(item.p - 0.05) > 1e-9:
            assert item.different == (item.p < 0.05)


def joint_coverage(runs: int, rows: int, shared: float, seed: int) -> tuple[float, float]:
    """(share of runs in which all intervals cover their truths, the same with each at its own step of Holm's)."""
    rng, kept, step_down = np.random.default_rng(seed), 0, 0
    truths = np.linspace(3.0, 50.0, rows)  # differences that nobody overlooks: there the step-down is farthest off
    for _ in range(runs):
        values = truths + rng.normal(0, 1, (12, rows)) + shared * rng.normal(0, 1, (12, 1))
        family = [mean_of(values[:, i]) for i in range(rows)]
        kept += all(item.interval.low <= t <= item.interval.high
                    for item, t in zip(simultaneous(family), truths, strict=True))
        ordered = sorted(range(rows), key=lambda i: family[i].p)
        at = [family[i].interval(1 - 0.05 / (rows - rank)) for rank, i in enumerate(ordered)]
        step_down += all(item.low <= truths[i] <= item.high for i, item in zip(ordered, at, strict=True))
    return kept / runs, step_down / runs


def test_the_intervals_of_a_table_hold_together_and_step_down_ones_do_not() -> None:
    runs = 500
    kept, step_down = joint_coverage(runs, 10, 0.0, 9)
    band = 3 * (0.95 * 0.05 / runs) ** 0.5
    assert kept > 0.95 - band
    assert step_down < 0.95 - band, "the mutant: Holm's steps as intervals"


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "shared"), [(3, 0.0), (10, 0.0), (10, 2.0)])
def test_joint_coverage(rows: int, shared: float) -> None:
    """At least 95 %, whatever luck the rows share."""
    runs = 2000
    kept, _ = joint_coverage(runs, rows, shared, 10)
    assert kept > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@pytest.mark.slow
def test_two_stage_intervals_of_a_table_hold_together() -> None:
    """As `compare` uses both: one number of replications for all rows, the largest that one of them needs."""
    rng, runs, first, rows, kept = np.random.default_rng(12), 2000, 8, 4, 0
    level = each_level(rows)
    for _ in range(runs):
        values = 1.0 + rng.normal(0, 0.3, (600, rows)) + rng.normal(0, 0.3, (600, 1))
        n = min(600, max(needed(values[:first, i], 0.25, level) for i in range(rows)))
        found = simultaneous([estimate(values[:n, i], first) for i in range(rows)])
        assert n == 600 or all(item.interval.high - item.interval.low <= 0.5 + 1e-9 for item in found)
        kept += all(item.interval.low <= 1.0 <= item.interval.high for item in found)
    assert kept / runs > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


def test_unadjusted_intervals_call_luck_a_difference() -> None:
    rng = np.random.default_rng(3)
    runs, alone, together = 250, 0, 0
    for _ in range(runs):
        family = [mean_of(rng.normal(0, 1, 6)) for _ in range(10)]
        alone += any(item.interval().excludes_zero for item in family)
        together += any(item.different for item in simultaneous(family))
    assert alone / runs > 0.3
    assert together / runs < 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_stein_textbook() -> None:
    first = np.array([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.302653: (4.302653 / 0.5)^2 = 74.05
    assert needed(first, 0.5) == 75
    assert needed(first, 100.0) == 3
    assert needed(np.array([2.0, 2.0]), 0.1) == 2
    with pytest.raises(ValueError, match="above 0"):
        needed(first, 0.0)
    whole = estimate(np.array([1.0, 2.0, 3.0, 6.0]), 3)
    assert (whole.mean, whole.error, whole.df, whole.n) == (3.0, 0.5, 2, 4)


def coverage(draw: str, runs: int, first: int, seed: int) -> tuple[float, float, float]:
    """(two-stage coverage, coverage of going on until it looks narrow, mean replications)."""
    rng = np.random.default_rng(seed)
    mean, target = (1.0, 0.25)
    kept, naive, used = 0, 0, 0
    for _ in range(runs):
        values = rng.normal(mean, 0.5, 400) if draw == "normal" else rng.gamma(4.0, mean / 4.0, 400)
        n = min(400, needed(values[:first], target))
        found = estimate(values[:n], first).interval()
        kept += found.low <= mean <= found.high
        used += n
        k = first
        while k < 400 and mean_of(values[:k]).half_width() > target:
            k += 1
        looked = mean_of(values[:k]).interval()
        naive += looked.low <= mean <= looked.high
    return kept / runs, naive / runs, used / runs


def test_two_stages_cover_and_stopping_when_it_looks_narrow_does_not() -> None:
    runs = 500
    kept, naive, used = coverage("normal", runs, 4, 5)
    band = 3 * (0.95 * 0.05 / runs) ** 0.5
    assert kept > 0.95 - band
    assert naive < 0.95 - band, "the mutant: the running interval stops when it is narrow by luck"
    assert used > 10


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "first"), [("normal", 3), ("normal", 5), ("normal", 10), ("gamma", 5), ("gamma", 10)])
def test_two_stage_coverage(draw: str, first: int) -> None:
    """Normal: at least 95 % within three standard errors. Gamma (skewness 1): within two points of it."""
    runs = 4000
    kept, _, _ = coverage(draw, runs, first, 6)
    allowed = 0.0 if draw == "normal" else 0.02
    assert kept > 0.95 - allowed - 3 * (0.95 * 0.05 / runs) ** 0.5


@pytest.mark.slow
def test_two_stage_coverage_where_the_width_is_a_share_of_the_baseline() -> None:
    """As `compare` uses it: pairs, the target taken from the first stage's own mean, lognormal latencies."""
    rng, runs, first, kept = np.random.default_rng(7), 4000, 10, 0
    for _ in range(runs):
        shared = rng.lognormal(0.0, 0.3, 400)  # the luck that both variants have
        a, b = shared + rng.gamma(4.0, 0.05, 400), shared + 0.1 + rng.gamma(4.0, 0.05, 400)
        n = min(400, needed((b - a)[:first], 0.05 * float(np.mean(a[:first]))))
        found = estimate((b - a)[:n], first).interval()
        kept += found.low <= 0.1 <= found.high
    assert kept / runs > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


def _with_p(p: float) -> Estimate:
    """An estimate with this two-sided p-value."""
    return Estimate(float(stats.t.isf(p / 2, 9)), 1.0, 9, 10)
