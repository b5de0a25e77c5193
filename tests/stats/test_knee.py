"""Where curves turn: exact on straight lines, on the M/M/1 curve, and honest where they do not turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.stats.knee import bend, crossing

LOADS = [0.1 * i for i in range(1, 10)]


@given(st.floats(0.15, 0.85))
def test_crossing_of_a_straight_line_is_exact(at: float) -> None:
    falling = [1.0 - load for load in LOADS]
    assert crossing(LOADS, falling, 1.0 - at) == pytest.approx(at)


def test_crossing_takes_the_first_and_says_the_side() -> None:
    assert crossing([1, 2, 3, 4], [1.0, 0.9, 1.0, 0.0], 0.95) == pytest.approx(1.5)
    assert crossing([1, 2], [0.5, 0.4], 0.95) == "below the lowest"
    assert crossing([1, 2], [1.0, 0.95], 0.95) == "beyond the highest"


def test_bend_of_the_mm1_curve_is_where_its_slope_is_the_chords() -> None:
    """y = 1 / (1 - x) from 0 to a: slope 1 / (1 - x)^2 equals the chord's 1 / (1 - a) at x = 1 - sqrt(1 - a)."""
    x = [i / 1000 for i in range(901)]
    assert bend(x, [1 / (1 - value) for value in x]) == pytest.approx(1 - 0.1**0.5, abs=1e-3)


def test_no_bend_where_there_is_none() -> None:
    assert bend(LOADS, [1 - load for load in LOADS]) is None, "ends lower than it began"
    assert bend(LOADS, [load**0.5 for load in LOADS]) is None, "concave"
    assert bend(LOADS[:3], [1, 2, 9]) is None
