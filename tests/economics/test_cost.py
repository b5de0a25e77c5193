"""Unit cost by hand, the exact crossing, and the two searches."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.economics.break_even import api_usd_per_hour, break_even
from workbench.economics.search import highest, smallest
from workbench.economics.unit_cost import HOURS_PER_MONTH, Load, unit_cost

# one request a second of 100 + 25 tokens is 360,000 + 90,000 = 450,000 tokens an hour
LOAD = Load(rate_rps=1.0, prompt_tok_mean=100.0, output_tok_mean=25.0)


def test_unit_cost_by_hand() -> None:
    cost = unit_cost(0.9, LOAD)
    assert cost.usd_per_million_input_tok == pytest.approx(2.5)
    assert cost.usd_per_million_output_tok == pytest.approx(10.0)
    assert cost.usd_per_million_total_tok == pytest.approx(2.0)
    assert cost.usd_per_thousand_requests == pytest.approx(0.25)
    assert cost.usd_per_month == pytest.approx(657.0)


def test_a_denominator_of_zero_has_no_cost() -> None:
    cost = unit_cost(1.0, Load(1.0, 0.0, 10.0))
    assert cost.usd_per_million_input_tok is None
    assert cost.usd_per_million_output_tok == cost.usd_per_million_total_tok
    assert unit_cost(1.0, Load(0.0, 1.0, 1.0)).usd_per_thousand_requests is None


def test_break_even_by_hand() -> None:
    # the API takes 0.36 x 0.5 + 0.09 x 2 = 0.36 USD an hour at one request a second; the machine takes 0.18
    found = break_even(0.18, LOAD, 0.5, 2.0, capacity_rps=0.4)
    assert found.api_usd_per_hour == pytest.approx(0.36)
    assert found.rate_rps == pytest.approx(0.5)
    assert found.monthly_total_tok == pytest.approx(0.5 * 450_000 * HOURS_PER_MONTH)
    assert found.self_hosting_is_cheaper
    assert found.reachable is False  # 0.5 requests a second is more than the 0.4 it carries


def test_cached_tokens_have_their_own_price_where_there_is_one() -> None:
    assert api_usd_per_hour(LOAD, 0.5, 2.0, cached_frac=0.25) == pytest.approx(0.36)
    found = api_usd_per_hour(LOAD, 0.5, 2.0, cached_frac=0.25, usd_per_million_cached_tok=0.1)
    assert found == pytest.approx(0.27 * 0.5 + 0.09 * 0.1 + 0.09 * 2.0)


@given(
    st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 99),
    st.integers(1, 99),
)
def test_at_the_crossing_both_bills_are_equal(
    usd: int, rate: int, prompt: int, output: int, price_in: int, price_out: int
) -> None:
    load = Load(rate / 100, prompt, output)
    rate_rps = break_even(usd / 100, load, price_in, price_out).rate_rps
    assert rate_rps is not None
    exact = Fraction(usd, 100) * 10**6 / (3600 * (prompt * price_in + output * price_out))
    assert rate_rps == pytest.approx(float(exact), rel=1e-12)
    assert api_usd_per_hour(Load(rate_rps, prompt, output), price_in, price_out) == pytest.approx(usd / 100, rel=1e-12)


def test_a_free_api_is_never_beaten() -> None:
    found = break_even(0.1, LOAD, 0.0, 0.0)
    assert found.rate_rps is None
    assert not found.self_hosting_is_cheaper


@given(st.integers(1, 200), st.integers(1, 200))
def test_the_smallest_is_found_with_few_questions(answer: int, limit: int) -> None:
    asked: list[int] = []

    def meets(n: int) -> bool:
        asked.append(n)
        return n >= answer

    assert smallest(meets, limit) == (answer if answer <= limit else None)
    assert len(asked) <= 2 * limit.bit_length() + 2
    assert max(asked) <= limit


def doubling_only(meets: Callable[[int], bool], limit: int) -> int:
    """The mutant: it stops at the first power of two."""
    n = 1
    while not meets(n):
        n = min(2 * n, limit)
    return n


def test_doubling_alone_would_buy_too_many() -> None:
    assert doubling_only(lambda n: n >= 5, 64) == 8
    assert smallest(lambda n: n >= 5, 64) == 5


def test_where_the_answer_wobbles_its_left_neighbour_was_tried_and_fails() -> None:
    met = {3, 6, 7, 8, 9}
    found = smallest(lambda n: n in met, 16)
    assert found in met
    assert found - 1 not in met


@given(st.floats(0.01, 0.99))
def test_the_highest_rate_is_bracketed(limit: float) -> None:
    asked: list[float] = []

    def meets(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    found = highest(meets, 1.0, steps=6)
    assert found is not None
    assert found <= limit < found * (1 + 2.0**-5) + 1e-12
    assert any(found < rate <= found * (1 + 2.0**-5) + 1e-12 for rate in [*asked, 1.0])


def test_a_rate_that_never_meets_is_given_up() -> None:
    asked: list[float] = []
    assert highest(lambda rate: bool(asked.append(rate)), 1.0, halvings=3) is None
    assert asked == [0.5, 0.25, 0.125]
