"""Jain's index and jointly backlogged time: by hand, against every nanosecond counted out, and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.stats.fairness import common, inside, jain, length_ns, union

span = st.builds(lambda start, length: (start, start + length), st.integers(0, 40), st.integers(0, 9))
spans = st.lists(span, max_size=9)
amounts = st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(lambda values: max(values) > 1e-3)


def arrays(intervals: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(intervals, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def covered(intervals: np.ndarray | list[tuple[int, int]]) -> set[int]:
    """Every unit [t, t + 1) that is open: the oracle."""
    return {t for start, end in intervals for t in range(start, end)}


def test_jain_by_hand() -> None:
    assert jain([5, 5, 5]) == 1
    assert jain([7, 0, 0, 0]) == 0.25
    assert jain([1, 2, 3]) == pytest.approx(36 / (3 * 14))
    assert jain([0, 0]) is None
    assert jain([]) is None
    with pytest.raises(ValueError, match="none below 0"):
        jain([1, -1])


@given(values=amounts, factor=st.floats(1e-6, 1e9))
def test_jain_lies_between_one_nth_and_one_and_knows_no_unit(values: list[float], factor: float) -> None:
    index = jain(values)
    assert index is not None
    assert 1 / len(values) - 1e-12 <= index <= 1 + 1e-12
    assert jain([value * factor for value in values]) == pytest.approx(index)
    assert jain(values[::-1]) == pytest.approx(index)
    assert jain(values * 3) == pytest.approx(index), "copies of the same people change nothing"


@given(value=st.floats(1e-3, 1e6), n=st.integers(1, 9), idle=st.integers(0, 9))
def test_k_of_n_with_the_same_have_an_index_of_k_over_n(value: float, n: int, idle: int) -> None:
    assert jain([value] * n + [0.0] * idle) == pytest.approx(n / (n + idle))


@given(several=st.lists(spans, min_size=1, max_size=4))
def test_joint_time_is_what_counting_every_moment_finds(several: list[list[tuple[int, int]]]) -> None:
    unions = [union(*arrays(one)) for one in several]
    for one, given_ in zip(unions, several, strict=True):
        assert covered(one.tolist()) == covered(given_)
        assert (one[1:, 0] > one[:-1, 1]).all(), "apart"
    joint = common(unions)
    together = set.intersection(*(covered(one) for one in several))
    assert covered(joint.tolist()) == together
    assert length_ns(joint) == len(together)
    moments = np.arange(60)
    assert {int(t) for t in moments[inside(moments, joint)]} == {t + 1 for t in together}


def test_intervals_by_hand() -> None:
    a, b = union(*arrays([(0, 10), (5, 12), (20, 30)])), union(*arrays([(8, 20), (20, 22), (29, 40)]))
    assert a.tolist() == [[0, 12], [20, 30]]
    assert b.tolist() == [[8, 22], [29, 40]]
    assert common([a, b]).tolist() == [[8, 12], [20, 22], [29, 30]]
    assert common([]).tolist() == []
    with pytest.raises(ValueError, match="ends before it begins"):
        union(*arrays([(3, 2)]))
