"""Sums of usage against sums of its list, shares that add up, budgets that speak once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.cost_tracker import Alert, Budgets, CostTracker
from workbench.control.money.usage import Usage

USES = st.lists(st.tuples(st.builds(
    Usage, st.just(""), st.integers(0, 50), st.sampled_from("ab"), st.sampled_from("mn"), st.integers(5, 9),
    st.integers(0, 9), st.integers(0, 5), st.integers(0, 9)), st.integers(-3, 9)), max_size=20)


@given(USES, st.lists(st.sampled_from(["tenant", "model", "slice_ns"]), unique=True), st.integers(0, 5),
       st.integers(0, 5))
def test_sums_are_those_of_the_usage(uses: list[tuple[Usage, int]], by: list[str], start: int, stop: int) -> None:
    tracker = CostTracker(10)
    for usage, price_pusd in uses:
        tracker.record(usage, price_pusd)
    rows = tracker.by(*by, from_ns=10 * start, until_ns=10 * stop)
    assert [one[:3] for one in rows] == sorted({one[:3] for one in rows})
    inside = [(one, price) for one, price in uses if 10 * start <= one.at_ns < 10 * stop]
    for row in rows:
        mine = [(one, price) for one, price in inside
                if ("tenant" not in by or one.tenant == row.tenant) and ("model" not in by or one.model == row.model)
                and ("slice_ns" not in by or one.at_ns // 10 * 10 == row.slice_ns)]
        assert row[3:] == (len(mine), sum(one.prompt_tok for one, _ in mine), sum(one.cached_tok for one, _ in mine),
                           sum(one.output_tok for one, _ in mine), sum(one.cost_pusd for one, _ in mine),
                           sum(price for _, price in mine))
        assert row.margin_pusd == row.price_pusd - row.cost_pusd
    assert sum(row.requests for row in rows) == len(inside)


@given(st.integers(0, 10**15), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 99), min_size=1))
def test_an_idle_fleet_is_paid_by_somebody(pusd: int, weights: dict[str, int]) -> None:
    assert sum(CostTracker().spread(pusd, weights).values()) == pusd


@given(st.lists(st.integers(0, 700), max_size=12))
def test_a_budget_says_each_level_once(spends: list[int]) -> None:
    budgets, said = Budgets({"t": 1000}, [1_000_000, 500_000]), list[Alert]()
    for i, pusd in enumerate(spends):
        said += budgets.spend(i, "t", pusd)
        assert budgets.spend(i, "other", pusd) == []
    levels = [level for level in (500_000, 1_000_000) if sum(spends) * 1000 >= level]
    assert [one.level_ppm for one in said] == levels
    for one in said:
        assert sum(spends[:one.at_ns]) * 1000 < one.level_ppm <= sum(spends[:one.at_ns + 1]) * 1000
    budgets.reset()
    assert [one.level_ppm for one in budgets.spend(99, "t", 500)] == [500_000]


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"budgets\.t: 0 is less than 1"):
        Budgets({"t": 0})
