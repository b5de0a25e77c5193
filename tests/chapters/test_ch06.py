"""Chapter 6: a revoked key is never let in for longer than verdicts are remembered; quotas bound what anybody takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.chapters import ch06
from workbench.errors import UsageError


@settings(max_examples=15, deadline=None)
@given(delay_s=st.sampled_from((0.5, 3.0, 30.0)), rate=st.floats(0.05, 5.0), seed=st.integers(0, 10_000))
def test_late_by_less_than_it_is_remembered(delay_s: float, rate: float, seed: int) -> None:
    open_s, saved = ch06._revoked(delay_s, rate, seed)
    assert 0.0 <= open_s < delay_s
    assert 0.0 <= saved < 1.0


def test_with_quotas_nobody_takes_more_than_a_part_and_the_steady_one_gets_more() -> None:
    found = ch06.shares(5, quick=True)
    for seed in range(3):
        assert max(ch06._served(seed, own=True).values()) <= 1.0
    assert found.common["greedy"].mean > 2.0
    assert found.own["steady"].mean > 2 * found.common["steady"].mean
    assert sum(item.mean for item in found.common.values()) <= len(ch06.USERS)


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="rate_per_s: 0: must be"):
        ch06.late(0.0, 5, quick=True)
