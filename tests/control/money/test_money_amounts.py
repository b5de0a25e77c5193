"""Rounding once, lines that add up, and periods cut anywhere."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.control.money.amounts import PUSD_PER_CENT, apportion, integer, rounded_lines, to_cents, usd
from workbench.control.money.periods import DAY_NS, Every, Months, Period

AMOUNTS = st.one_of(st.integers(-3 * 10**13, 3 * 10**13), st.integers(-60, 60).map(lambda n: n * PUSD_PER_CENT // 4))


@given(AMOUNTS)
def test_cents_are_rounded_half_to_even(pusd: int) -> None:
    assert to_cents(pusd) == int((Decimal(pusd) / PUSD_PER_CENT).quantize(Decimal(1), ROUND_HALF_EVEN))


@given(st.lists(AMOUNTS, max_size=12))
def test_lines_add_up_to_the_total_and_none_is_a_cent_off(pusd: list[int]) -> None:
    total, cents = rounded_lines(pusd)
    assert total == to_cents(sum(pusd)) == sum(cents)
    for exact, shown in zip(pusd, cents, strict=True):
        assert abs(shown * PUSD_PER_CENT - exact) < PUSD_PER_CENT
    lost = [exact - exact // PUSD_PER_CENT * PUSD_PER_CENT for exact in pusd]
    up = [rest for rest, exact, shown in zip(lost, pusd, cents, strict=True) if shown > exact // PUSD_PER_CENT]
    down = [rest for rest, exact, shown in zip(lost, pusd, cents, strict=True) if shown == exact // PUSD_PER_CENT]
    assert min(up, default=PUSD_PER_CENT) >= max(down, default=0)  # who lost most was raised


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any))
def test_shares_sum_to_the_whole_and_are_within_one_of_their_due(total: int, weights: list[int]) -> None:
    parts = apportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert part == 0 or weight > 0


@pytest.mark.parametrize("weights", [[], [0, 0], [2, -1]])
def test_nothing_to_share_over_is_an_error(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot split 5 over weights"):
        apportion(5, weights)


def test_a_float_is_not_money() -> None:
    with pytest.raises(ValueError, match=r"price: 0\.6 is not an integer"):
        integer("price", 0.6)  # type: ignore[arg-type]
    assert (usd(-1205), usd(7)) == ("-12.05", "0.07")


@given(st.integers(0, 10**14), st.integers(1, 10**6), st.lists(st.integers(-10, 10**6), max_size=8))
def test_proration_adds_up_over_any_cut_of_the_period(amount: int, length: int, cuts: list[int]) -> None:
    period = Period(5, 5 + length)
    edges = sorted([5, *(min(max(one, 5), 5 + length) for one in cuts), 5 + length])
    parts = [period.prorate(amount, *pair) for pair in pairwise(edges)]
    assert sum(parts) == amount
    for part, (start, end) in zip(parts, pairwise(edges), strict=True):
        assert abs(part - Fraction(amount * (end - start), length)) < 1
    assert period.prorate(amount, -9, 2 * 10**6 + 9) == amount  # what lies outside is not counted


@example(365 * 86_400 - 1, 0)  # the last second of a December
@given(st.integers(0, 3 * 10**9), st.integers(0, 200 * 365 * DAY_NS))
def test_months_are_those_of_the_calendar_and_leave_no_gap(seconds: int, utc_ns: int) -> None:
    months, at_ns = Months(utc_ns), seconds * 10**9 - utc_ns
    start_ns, end_ns = months.period(at_ns)
    assert start_ns <= at_ns < end_ns
    begin, end = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=(one + utc_ns) // 1000)
                  for one in (start_ns, end_ns))
    assert (begin.day, begin.hour, end.day, end.second) == (1, 0, 1, 0)
    assert (end.year * 12 + end.month) - (begin.year * 12 + begin.month) == 1
    assert months.period(end_ns).start_ns == end_ns
    assert months.period(start_ns) == months.period(end_ns - 1) == (start_ns, end_ns)


def test_periods_of_one_length() -> None:
    assert Every(10, 3).period(2) == (-7, 3)
    assert Every(10, 3).period(3) == (3, 13)
