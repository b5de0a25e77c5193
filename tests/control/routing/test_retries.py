"""Retries and hedges: budgets never exceeded, nothing after the first byte."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.routing.hedging import Hedging
from workbench.control.routing.retries import Attempt, GiveUp, Retries, Retry, RetryBudget

FAILED = Attempt("r", 1, "failure")


class Top:
    """The longest of what can be drawn."""

    def random(self) -> float:
        return 1 - 2**-53


@given(st.integers(0, 1_500_000), st.integers(0, 5), st.lists(st.booleans(), max_size=120))
def test_no_interval_has_more_retries_than_its_requests_allow(ratio_ppm: int, burst: int, events: list[bool]) -> None:
    budget, granted = RetryBudget(ratio_ppm, burst), list[bool]()
    for is_request in events:
        if is_request:
            budget.request()
        granted.append(not is_request and budget.take())
    for start in range(len(events)):
        retries = requests = 0
        for is_request, retry in zip(events[start:], granted[start:], strict=True):
            requests, retries = requests + is_request, retries + retry
            assert retries <= burst + Fraction(ratio_ppm, 1_000_000) * requests


def storm(retries: Retries, requests: int) -> int:
    """A backend that fails everything: how many attempts it sees."""
    attempts = 0
    for i in range(requests):
        retries.request(i)
        number, more = 1, True
        while more:
            attempts += 1
            more = isinstance(retries.failed(i, Attempt(f"r{i}", number, "failure")), Retry)
            number += 1
    return attempts


def test_a_retry_storm_is_bounded_by_the_budget() -> None:
    assert 1000 + 100 < storm(Retries(Random(1), most=4, ratio_ppm=100_000, burst=10), 1000) <= 1000 + 10 + 100
    assert storm(Retries(Random(1), most=4, ratio_ppm=3_000_000, burst=9), 1000) == 4000  # without one: fourfold


def test_waits_are_exponential_capped_and_jittered() -> None:
    longest = Retries(Top(), most=9, wait_ns=100, most_wait_ns=500)
    waits = [longest.failed(0, FAILED._replace(number=n)) for n in (1, 2, 3, 4, 8)]
    assert waits == [Retry("r", at) for at in (99, 199, 399, 499, 499)]
    spread = Retries(Random(1), most=9, wait_ns=1000, burst=1000)
    drawn = [answer.at_ns for _ in range(400) if isinstance(answer := spread.failed(0, FAILED), Retry)]
    assert min(drawn) < 50
    assert max(drawn) > 950
    assert abs(sum(drawn) / 400 - 500) < 3 * 289 / 20


def test_retry_after_is_honoured() -> None:
    assert Retries(Top(), wait_ns=10).failed(5, FAILED._replace(cause="rejected", retry_after_ns=77)) == Retry("r", 82)


@pytest.mark.parametrize(("attempt", "reason"), [
    (FAILED._replace(cause="refused"), "itself is wrong"),
    (FAILED._replace(number=3), "3 attempts"),
    (FAILED._replace(deadline_ns=100), "deadline"),
    (FAILED._replace(sent_tok=1), "first byte"),
])
def test_reasons_to_give_up(attempt: Attempt, reason: str) -> None:
    answer = Retries(Top(), wait_ns=101).failed(0, attempt)
    assert isinstance(answer, GiveUp)
    assert reason in answer.reason


def test_after_the_first_byte_only_a_continuation() -> None:
    broken = FAILED._replace(sent_tok=12, continues=True)
    assert Retries(Top(), wait_ns=1).failed(0, broken) == Retry("r", 0, 12)
    assert isinstance(Retries(Top(), continuation=False).failed(0, broken), GiveUp)


def test_giving_up_costs_nothing_of_the_budget() -> None:
    retries = Retries(Top(), wait_ns=1, burst=1, ratio_ppm=0)
    retries.failed(0, FAILED._replace(sent_tok=1))
    assert isinstance(retries.failed(0, FAILED), Retry)
    assert isinstance(retries.failed(0, FAILED), GiveUp)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=60), st.integers(1, 1_000_000), st.integers(1, 20))
def test_the_delay_is_the_quantile_of_the_last_waits(waits: list[int], quantile_ppm: int, window: int) -> None:
    hedging, now = Hedging(quantile_ppm, window=window, least_seen=1), 0
    for i, wait in enumerate(waits):
        hedging.sent(now, f"r{i}", "a")
        now += wait
        hedging.first_byte(now, f"r{i}", "a")
        last = sorted(waits[max(0, i + 1 - window):i + 1])
        delay = hedging.delay_ns()
        assert delay == min(w for w in last if sum(x <= w for x in last) * 1_000_000 >= quantile_ppm * len(last))


@given(st.integers(0, 1_000_000), st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=20, max_size=100))
def test_hedges_stay_within_their_share(share_ppm: int, steps: list[tuple[int, bool]]) -> None:
    hedging, now, out = Hedging(500_000, share_ppm, window=10, least_seen=1), 0, list[str]()
    for i, (gap, answered) in enumerate(steps):
        now += gap
        for request_id in hedging.on_time(now):
            hedging.hedged(now, request_id, "b")
        assert hedging.hedges * 1_000_000 < share_ppm * hedging.requests + 1_000_000
        assert (due := hedging.due_ns()) is None or due > now
        hedging.sent(now, f"r{i}", "a")
        out.append(f"r{i}")
        if answered:
            hedging.first_byte(now, out.pop(0), "a")


def hedged() -> Hedging:
    """One request with two attempts, sent at 100 and 110."""
    hedging = Hedging(1_000_000, 1_000_000, least_seen=1, window=1)
    hedging.sent(0, "first", "a")
    hedging.first_byte(10, "first", "a")
    hedging.sent(100, "r", "a")
    assert hedging.due_ns() == 110
    assert hedging.on_time(109) == []
    assert hedging.on_time(110) == ["r"]
    hedging.hedged(110, "r", "b")
    return hedging


def test_the_first_byte_wins_and_the_other_is_cancelled() -> None:
    hedging = hedged()
    assert hedging.first_byte(115, "r", "b") == ["a"]
    assert hedging.first_byte(115, "r", "a") == ["a"]  # it crossed the cancellation: cancelled again
    assert hedging.delay_ns() == 15  # since the client's first attempt
    with pytest.raises(ValueError, match="first byte"):
        hedging.hedged(116, "r", "c")


def test_a_request_is_over_when_all_its_attempts_are() -> None:
    hedging = hedged()
    assert not hedging.over(111, "r", "a")
    assert hedging.over(112, "r", "b")
    assert not hedging.over(112, "r", "b")


def test_no_hedge_after_a_first_byte_and_none_before_enough_is_seen() -> None:
    hedging = Hedging(500_000, 1_000_000, least_seen=2, window=2)
    for i in range(2):
        hedging.sent(i, f"r{i}", "a")
        assert hedging.due_ns() is None
        hedging.first_byte(i + 1, f"r{i}", "a")
    hedging.sent(5, "r9", "a")
    assert hedging.due_ns() == 6
    hedging.first_byte(6, "r9", "a")
    assert hedging.on_time(6) == []


def test_bad_parameters() -> None:
    with pytest.raises(ValueError, match="quantile_ppm 1000001"):
        Hedging(1_000_001)
    with pytest.raises(ValueError, match="least_seen 9"):
        Hedging(window=8, least_seen=9)
    with pytest.raises(ValueError, match="is open already"):
        hedged().sent(200, "r", "c")
