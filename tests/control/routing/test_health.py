"""Rise and fall, and ejection with its cap."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workbench.control.routing.health import Ejection, HealthChecks


@given(st.integers(1, 3), st.integers(1, 3), st.lists(st.booleans(), max_size=40), st.booleans())
def test_up_after_rise_and_down_after_fall(rise: int, fall: int, answers: list[bool], begins_up: bool) -> None:
    checks = HealthChecks(rise, fall, interval_ns=10, begins_up=begins_up)
    checks.added(0, 4)
    up = begins_up
    for i, good in enumerate(answers):
        checks.answered(i, 4, good)
        need = fall if up else rise
        if len(answers[:i + 1]) >= need and set(answers[i + 1 - need:i + 1]) == {not up}:
            up = not up
        assert checks.up(4) is up


def test_a_check_is_due_an_interval_after_its_answer() -> None:
    checks = HealthChecks(interval_ns=10)
    checks.added(5, 1)
    assert checks.due_ns() == 5
    assert checks.due(6) == [1]
    checks.added(7, 2)
    assert checks.due(7) == [2]
    assert checks.due_ns() is None  # both are out
    checks.answered(9, 1, good=True)
    assert checks.due_ns() == 19
    checks.removed(10, 1)
    checks.answered(11, 1, good=True)
    assert checks.due_ns() is None
    assert not checks.up(1)


@given(st.integers(1, 9), st.integers(0, 1_000_000),
       st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8), st.booleans()), max_size=80))
def test_never_more_than_the_cap_is_out(fleet: int, most_ppm: int, answers: list[tuple[int, int, bool]]) -> None:
    ejection, now = Ejection(2, 20, 50, most_ppm), 0
    cap = max(fleet * most_ppm // 1_000_000, 1 if fleet > 1 else 0)
    for gap, replica, failed in answers:
        now += gap
        ejection.done(now, replica % fleet, failed, fleet)
        out = [r for r in range(fleet) if not ejection.allows(now, r)]
        assert len(out) == ejection.out(now) <= cap


def test_each_time_longer_up_to_the_most_and_shorter_after_quiet() -> None:
    ejection, now, lengths = Ejection(2, 20, 50), 0, list[int]()
    for quiet in (0, 0, 0, 0, 60):
        now += quiet
        assert not ejection.done(now, 0, True, 9)
        assert ejection.done(now, 0, True, 9)
        length = next(t for t in range(100) if ejection.allows(now + t, 0))
        lengths.append(length)
        now += length
    assert lengths == [20, 40, 50, 50, 40]  # after 60 ns three of its four times are forgotten


def test_a_success_ends_the_row() -> None:
    ejection = Ejection(2, 20, 50)
    results = [ejection.done(i, 0, failed, 9) for i, failed in enumerate([True, False, True, True])]
    assert results == [False, False, False, True]
    assert all(a <= b for a, b in pairwise(results))
