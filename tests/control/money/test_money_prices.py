"""Rates against a price for each token counted one by one; the price book against a look at every version."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.errors import Overlap
from workbench.control.money.periods import Period
from workbench.control.money.plans import Plan, Subscriptions
from workbench.control.money.price_book import ANY, FOREVER_NS, PriceBook, Version
from workbench.control.money.rates import Flat, Graduated, Package, Rate, Tier, Volume, rate_from

TIERS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=3).flatmap(
    lambda steps: st.integers(0, 9).map(lambda last: tuple(
        [Tier(sum(size for size, _ in steps[:i + 1]), price) for i, (_, price) in enumerate(steps)] + [Tier(None, last)]
    )))
RATES: st.SearchStrategy[Rate] = st.one_of(
    st.integers(0, 9).map(Flat), TIERS.map(Graduated), TIERS.map(Volume), st.builds(Package, st.integers(1, 7),
                                                                                  st.integers(0, 9)))


def price_of(tiers: tuple[Tier, ...], tok: int) -> int:
    """Of the tok-th token."""
    return next(one.micro_usd_per_mtok for one in tiers if one.up_to_tok is None or tok <= one.up_to_tok)


@given(TIERS)
def test_tiers_cost_what_their_tokens_cost_one_by_one(tiers: tuple[Tier, ...]) -> None:
    """Up to the last token of a tier and beyond."""
    for tok in range(31):
        assert Graduated(tiers).total_pusd(tok) == sum(price_of(tiers, i) for i in range(1, tok + 1))
        assert Volume(tiers).total_pusd(tok) == sum(price_of(tiers, tok) for _ in range(tok))


@given(st.integers(1, 7), st.integers(0, 40))
def test_a_package_begun_is_paid_whole(size: int, tok: int) -> None:
    assert Package(size, 3).total_pusd(tok) == sum(3_000_000 for i in range(tok) if i % size == 0)


@given(RATES)
def test_no_tokens_cost_nothing(rate: Rate) -> None:
    assert rate.total_pusd(0) == 0


VERSIONS = st.lists(st.builds(
    Version, st.sampled_from(["a", ANY]), st.just("input"), st.integers(0, 99).map(Flat), st.integers(0, 12),
    st.one_of(st.integers(1, 14), st.just(FOREVER_NS)), st.sampled_from(["", "pro"])), max_size=12)


def overlap(one: Version, other: Version) -> bool:
    same = (one.model, one.kind, one.plan) == (other.model, other.kind, other.plan)
    return same and any(one.from_ns <= at < one.until_ns and other.from_ns <= at < other.until_ns for at in range(16))


@given(VERSIONS)
def test_versions_that_share_an_instant_are_refused_and_no_others(versions: list[Version]) -> None:
    """And the nearest price holds, at every time, as long as it says that it does."""
    book, kept = PriceBook(), list[Version]()
    for one in versions:
        if one.from_ns >= one.until_ns:
            with pytest.raises(ValueError, match="ends before it begins"):
                book.add(one)
        elif any(overlap(one, other) for other in kept):
            with pytest.raises(Overlap, match="overlaps"):
                book.add(one)
        else:
            book.add(one)
            kept.append(one)

    def nearest(plan: str, model: str, at: int) -> Version | None:
        for key in ((plan, model), (plan, ANY), ("", model), ("", ANY)):
            for one in kept:
                if (one.plan, one.model) == key and one.from_ns <= at < one.until_ns:
                    return one
        return None

    for plan in ("", "pro", "other"):
        for model in ("a", "b"):
            answers = [nearest(plan, model, at) for at in range(16)]
            for at, answer in enumerate(answers):
                found, from_ns, until_ns = book.find(plan, model, "input", at)
                assert found == answer
                assert from_ns <= at < until_ns
                assert all(answers[i] == answer for i in range(16) if from_ns <= i < until_ns)


def test_a_book_of_plain_data() -> None:
    book = PriceBook.from_facts([
        {"model": "m", "kind": "input", "flat": 600_000},
        {"model": "m", "kind": "output", "plan": "pro", "from_ns": 5, "until_ns": 9,
         "graduated": [{"up_to_tok": 10, "micro_usd_per_mtok": 3}, {"micro_usd_per_mtok": 2}]},
        {"model": "m", "kind": "cached", "package": {"size_tok": 1000, "micro_usd": 5}},
    ])
    found = book.find("pro", "m", "output", 8)[0]
    assert found is not None
    assert found.rate == Graduated((Tier(10, 3), Tier(None, 2)))
    assert book.find("pro", "m", "output", 9)[0] is None


@pytest.mark.parametrize(("facts", "says"), [
    ({"flat": 0.6}, r"p\.flat: 0\.6 is not an integer"),
    ({"flat": -1}, r"p\.flat: -1 is less than 0"),
    ({"flatt": 1}, r"p: \['flatt'\] is not one of flat, graduated"),
    ({}, r"p: \[\] is not one of"),
    ({"volume": []}, r"p\.volume: no tiers"),
    ({"graduated": [{"up_to_tok": 5, "micro_usd_per_mtok": 1}]}, r"p\.graduated\[0\]: keys"),
    ({"volume": [{"up_to_tok": 5, "micro_usd_per_mtok": 1}, {"up_to_tok": 5, "micro_usd_per_mtok": 1},
                 {"micro_usd_per_mtok": 1}]}, r"p\.volume\[1\]\.up_to_tok: 5 is less than 6"),
    ({"package": {"size_tok": 0, "micro_usd": 1}}, r"p\.package\.size_tok: 0 is less than 1"),
])
def test_a_rate_that_cannot_be_says_where(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rate_from("p", facts)


@pytest.mark.parametrize("rate", [
    Flat(0.6),  # type: ignore[arg-type]
    Package(0, 5), Package(5, -1), Graduated(()), Volume((Tier(5, 1),)), Graduated((Tier(None, 1), Tier(None, 2))),
    Volume((Tier(5, 1), Tier(5, 1), Tier(None, 1))), Graduated((Tier(5, -1), Tier(None, 1))),
])
def test_a_rate_made_by_hand_is_checked_too(rate: Rate) -> None:
    book = PriceBook()
    with pytest.raises(ValueError, match=r"^price m input \[0, \)"):
        book.add(Version("m", "input", rate))
    assert book.find("", "m", "input", 0)[0] is None


@pytest.mark.parametrize(("make", "says"), [
    (lambda: PriceBook([Version("m", "inputs", Flat(1))]), "kind 'inputs' is not one of input, cached, output"),
    (lambda: PriceBook.from_facts([{"kind": "input", "flat": 1}]), r"prices\[0\]: model is missing"),
    (lambda: Subscriptions({"pro": Plan(fee_pusd=-1)}), r"plans\.pro\.fee_pusd: -1 is less than 0"),
    (lambda: Subscriptions({"pro": Plan()}).change("t", "prro", 0), r"tenants\.t\.plan: 'prro' is unknown; did you"),
])
def test_bad_books_and_plans_say_so_in_one_line(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["a", "b", ""])), max_size=6))
def test_plans_fill_a_period_without_gap_and_the_last_word_holds(changes: list[tuple[int, str]]) -> None:
    subscriptions, by_time = Subscriptions({"a": Plan(1), "b": Plan(2)}), [""] * 40
    for from_ns, plan in changes:
        subscriptions.change("t", plan, from_ns)
        by_time[from_ns:] = [plan] * (40 - from_ns)
    spans = subscriptions.within("t", Period(7, 33))
    assert [plan for plan, start, end in spans for _ in range(start, end)] == by_time[7:33]
    assert spans[0].from_ns == 7
    assert all(one.until_ns == other.from_ns for one, other in pairwise(spans))
