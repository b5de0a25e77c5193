"""Ledger money: integers that sum exactly, rounding half-even."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.economics import money
from workbench.errors import UsageError
from workbench.stats.apportion import apportion

WEIGHTS = st.lists(st.integers(0, 10**15), min_size=1, max_size=12).filter(any)


@given(st.integers(-(10**20), 10**20), WEIGHTS)
def test_apportioned_parts_sum_to_the_total_and_stay_within_one_of_their_share(total: int, weights: list[int]) -> None:
    parts = apportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or part == 0


def rounded_each(total: int, weights: list[int]) -> list[int]:
    """The mutant: each part rounded by itself."""
    return [money.divide_half_even(total * weight, sum(weights)) for weight in weights]


def test_rounding_each_part_by_itself_would_lose_a_unit() -> None:
    assert sum(rounded_each(100, [1, 1, 1])) == 99
    assert apportion(100, [1, 1, 1]) == [34, 33, 33]
    assert apportion(-100, [1, 1, 1]) == [-34, -33, -33]


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (1, 3, 0), (2, 3, 1), (6, 2, 3), (0, 7, 0)],
)
def test_ties_go_to_the_even_integer(numerator: int, denominator: int, expected: int) -> None:
    assert money.divide_half_even(numerator, denominator) == expected


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_division_agrees_with_fractions(numerator: int, denominator: int) -> None:
    assert money.divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_a_price_times_tokens_is_pico_usd_exactly() -> None:
    price = money.microusd_per_million("0.02")
    assert price == 20_000
    assert money.charge_pusd(price, 1_000_000) == money.from_usd("0.02")
    assert money.charge_pusd(price, 1) == 20_000  # 2e-8 USD, not rounded away
    assert money.shown_usd(money.charge_pusd(price, 3)) == "0.00000006"


@pytest.mark.parametrize(("usd", "cents"), [("0.125", 12), ("0.135", 14), ("0.1350000001", 14), ("1.005", 100)])
def test_an_invoice_is_rounded_once_half_even(usd: str, cents: int) -> None:
    assert money.round_cents(money.from_usd(usd)) == cents


@pytest.mark.parametrize("price", ["-1", "nan", "0.0000001", "much"])
def test_a_price_that_micro_usd_cannot_hold_is_refused(price: str) -> None:
    with pytest.raises(UsageError):
        money.microusd_per_million(price)


def test_money_refuses_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="all weights are zero"):
        apportion(1, [0, 0])
    with pytest.raises(ValueError, match="not negative"):
        apportion(1, [2, -1])
    with pytest.raises(ValueError, match="positive"):
        money.divide_half_even(1, 0)
    assert apportion(0, [0, 0]) == [0, 0]
    assert money.microusd_per_million(Decimal("1.5")) == 1_500_000
