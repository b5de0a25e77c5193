"""Chapter 17: canaries and alarms before outcomes that are known."""

import numpy as np

from workbench.chapters import ch17, ch17_ab
from workbench.control.plane.events import Start, Stop


def test_a_version_that_fails_thrice_as_often_is_seldom_promoted() -> None:
    """Bound 5 % from twice as bad on: 10 of 60 would be a chance of one in two thousand."""
    assert sum(ch17._trial(3.0, seed)[0] for seed in range(60)) < 10


def test_a_better_version_is_promoted_and_each_side_was_asked_as_often() -> None:
    promoted, asked = ch17._trial(0.5, 0)
    assert promoted
    assert asked % 2 == 0


def test_a_rate_that_doubles_is_seen_in_every_series() -> None:
    found = [ch17._watch(2.0, seed) for seed in range(5)]
    assert all((one.changes, one.detected) == (1, 1) for one in found)
    assert all(one.delay < ch17.PATIENCE for one in found)


def test_a_difference_is_seen_where_it_is_looked_for() -> None:
    """One of ten of A's and nine of ten of B's are not content. Of one each nothing can be
    said: 1.41 errors; of two, 2."""
    a, b = np.array([False] * 9 + [True]), np.array([True] * 9 + [False])
    assert ch17_ab.worse(a, b, 10)
    assert not ch17_ab.worse(b, a, 10)
    assert not ch17_ab.worse(a[:1], b[:1], 1)
    assert ch17_ab.worse(a[:2], b[:2], 1)


def test_who_looks_more_often_finds_no_less() -> None:
    for seed in range(50):
        a, b = ch17_ab._down(1.0, seed)
        assert ch17_ab.worse(a, b, 100) >= ch17_ab.worse(a, b, ch17_ab.PAIRS)


def test_the_sequential_test_stops_at_its_verdict() -> None:
    """Odds of 2 to 1, errors of 5 %: 11 pairs where B alone fails, (4/3)^11 = 23.7 > 20."""
    assert ch17_ab.in_sequence(np.zeros(100, dtype=bool), np.ones(100, dtype=bool)) == (True, 11)
    assert ch17_ab.in_sequence(np.ones(100, dtype=bool), np.zeros(100, dtype=bool)) == (False, 8)


def test_a_user_who_comes_again_gets_the_same() -> None:
    share, same = ch17_ab.split(1000)
    assert same == 1.0
    assert abs(share - 0.5) < 3 * (0.25 / 1000) ** 0.5


def test_stops_and_starts_of_one_reason_are_one_line() -> None:
    done = [Stop(4, "n2 is down"), Start(4, 13, "n3", "n2 is down"), Start(9, 14, "n4", "2 wanted, 1 there")]
    assert ch17._by_reason(done) == {
        "n2 is down": "stop 4, start 4 on n3 (token 13)", "2 wanted, 1 there": "start 9 on n4 (token 14)"}
