"""Chapter 7: what a limit lets through, counted by hand."""

import numpy as np
import pytest

from workbench.chapters import ch07
from workbench.chapters.ch07 import TOKENS, Burst
from workbench.control.limits.sliding_log import SlidingLog
from workbench.control.limits.windows import FixedWindow
from workbench.errors import UsageError

SECOND = 10**9


def test_the_worst_window_is_any_time_of_its_length() -> None:
    """Within one second of 0.5: 0.5, 0.9, 1.2, 1.4. What comes exactly one later is outside."""
    times = np.array([0.0, 0.5, 0.9, 1.2, 1.4, 1.5])
    assert Burst(1, 1.0, 0, times, {"x": times}).worst("x") == 4
    assert Burst(1, 1.0, 0, times, {"x": np.array([])}).worst("x") == 0


def test_a_fixed_window_lets_twice_its_limit_through_across_an_edge_and_a_log_does_not() -> None:
    arrivals = np.concatenate([np.linspace(0.90, 0.99, 10), np.linspace(1.0, 1.09, 10)])
    let = {"fixed": ch07._through(FixedWindow(10, SECOND), arrivals), "log": ch07._through(SlidingLog(10, SECOND),
                                                                                         arrivals)}
    found = Burst(10, 1.0, 0, arrivals, let)
    assert (found.worst("fixed"), found.worst("log")) == (20, 10)


@pytest.mark.parametrize(("in_flight", "after", "reserved"), [(5, 5, 5), (10, 10, 10), (40, 40, 10)])
def test_who_is_charged_afterwards_overshoots_by_all_in_flight(in_flight: int, after: int, reserved: int) -> None:
    """A limit of ten answers."""
    limit_tok = 10 * TOKENS
    assert ch07.let_through(in_flight, limit_tok, reserve=False) == after * TOKENS
    assert ch07.let_through(in_flight, limit_tok, reserve=True) == reserved * TOKENS


def test_a_limit_below_one_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="limit_tok: 5"):
        ch07.overshoot_chart(5)
