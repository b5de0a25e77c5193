"""Hierarchies and reservations: all or none, and no interleaving that exceeds."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from workbench.control.limits import (
    Answer,
    FixedWindow,
    Gcra,
    Level,
    Limits,
    Meter,
    Reservation,
    SlidingCounter,
    SlidingLog,
    UnknownLevel,
    UnknownReservation,
)

KEYS = st.fixed_dictionaries({name: st.sampled_from("ab") for name in ("tenant", "user", "model")})
GAPS_NS = st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 29, 31])
ASKS = st.lists(st.tuples(GAPS_NS, KEYS, st.integers(1, 9)), min_size=12, max_size=40)


def levels() -> list[Level]:
    return [
        Level("tenant", SlidingCounter(12, 90)), Level("user", Gcra(2, 30, 8)), Level("model", SlidingLog(9, 50)),
        Level("user_requests", FixedWindow(3, 60), by="user", counts="requests"),
    ]


def one(meter: Meter, expire_ns: int = 1000) -> Limits:
    return Limits([Level("tenant", meter)], expire_ns)


def reserved(limits: Limits, now_ns: int, amount: int) -> Reservation:
    held = limits.reserve(now_ns, "k", amount)
    assert isinstance(held, Reservation)
    return held


@given(ASKS)
def test_all_levels_admit_or_none_is_charged(asks: list[tuple[int, dict[str, str], int]]) -> None:
    """Beside it each meter alone, told only of what was admitted: their states stay the same."""
    limits, alone, now_ns = Limits(levels()), levels(), 0
    for gap_ns, keys, amount in asks:
        now_ns += gap_ns
        each = [level.meter.look(now_ns, keys[level.key_name], level.share(amount)) for level in alone]
        answer = limits.ask(now_ns, keys, amount)
        assert answer.admitted == all(one.admitted for one in each)
        if answer.admitted:
            assert answer.level == ""
            for level in alone:
                level.meter.take(now_ns, keys[level.key_name], level.share(amount))
        else:
            named = next(i for i, level in enumerate(alone) if level.name == answer.level)
            assert not each[named].admitted
            assert each[named].retry_after_ns == answer.retry_after_ns
        more = [n for n in range(1, 13)
                if all(level.meter.look(now_ns, keys[level.key_name], level.share(n)).admitted for level in alone)]
        assert answer.remaining == max(more, default=0)


@given(ASKS)
def test_the_hierarchys_retry_after_is_the_first_ns_at_which_all_admit(
    asks: list[tuple[int, dict[str, str], int]]
) -> None:
    now_ns = 0
    limits = Limits(levels())
    for i, (gap_ns, keys, amount) in enumerate(asks):
        now_ns += gap_ns
        answer = limits.ask(now_ns, keys, amount)
        if answer.retry_after_ns:
            for wait_ns, admits in ((answer.retry_after_ns - 1, False), (answer.retry_after_ns, True)):
                again, at_ns = Limits(levels()), 0
                for other_gap_ns, other, n in asks[: i + 1]:
                    at_ns += other_gap_ns
                    again.ask(at_ns, other, n)
                assert again.ask(now_ns + wait_ns, keys, amount).admitted == admits


def test_the_answer_names_the_level_that_refuses_longest() -> None:
    limits = Limits([Level("tenant", FixedWindow(5, 1000)), Level("user", FixedWindow(3, 3000))])
    who = {"tenant": "acme", "user": "acme/bob"}
    assert limits.ask(0, who, 3) == Answer(True, 0, 0)
    assert limits.ask(10, who, 1) == Answer(False, 2990, 0, "user")
    assert limits.ask(10, who, 4) == Answer(False, None, 0, "user")  # never: more than a user's window
    assert limits.ask(10, {**who, "user": "acme/eve"}, 3) == Answer(False, 990, 2, "tenant")
    assert limits.ask(10, {**who, "user": "acme/eve"}, 2) == Answer(True, 0, 0)  # the refusals were not charged


def test_requests_and_tokens_of_one_user_are_limited_together() -> None:
    limits = Limits([
        Level("requests", FixedWindow(2, 1000), by="user", counts="requests"),
        Level("tokens", FixedWindow(100, 1000), by="user"),
    ])
    held = limits.reserve(0, {"user": "u"}, 90)
    assert isinstance(held, Reservation)
    assert limits.ask(1, {"user": "u"}, 20).level == "tokens"
    limits.commit(2, held, 10)
    held = limits.reserve(3, "u", 90)
    assert isinstance(held, Reservation)
    assert limits.ask(4, "u", 0 + 1).level == "requests"  # a commit keeps the request
    limits.refund(5, held)
    assert limits.ask(6, "u", 90) == Answer(True, 0, 0)  # a refund does not


class Reserving(RuleBasedStateMachine):
    """Asks, reservations, commits of at most what was reserved, refunds and expiries in any order.

    `charges` holds what each admission turned out to be: as long as it is open all that was reserved.
    """

    held = Bundle("held")
    expire_ns = 60

    def __init__(self) -> None:
        super().__init__()
        self.meter = self.make()
        self.limits, self.now_ns = one(self.meter, self.expire_ns), 0
        self.charges: list[list[int]] = []  # [at_ns, amount]

    def make(self) -> Meter:
        return Gcra(2, 9, 8)

    def within(self, length_ns: int, total: int, start_ns: int, end_ns: int) -> bool:
        return total <= 8 + Fraction(2, 9) * (length_ns - 1)

    @rule(gap_ns=st.sampled_from([1, 5, 19, 20, 40]))
    def wait(self, gap_ns: int) -> None:
        self.now_ns += gap_ns

    @rule(amount=st.integers(1, 8))
    def ask(self, amount: int) -> None:
        if self.limits.ask(self.now_ns, "k", amount).admitted:
            self.charges.append([self.now_ns, amount])

    @rule(target=held, amount=st.integers(1, 8))
    def reserve(self, amount: int) -> tuple[Reservation, list[int]] | None:
        found = self.limits.reserve(self.now_ns, "k", amount)
        if not isinstance(found, Reservation):
            return None
        self.charges.append([self.now_ns, amount])
        return found, self.charges[-1]

    @rule(one=consumes(held), part=st.integers(0, 8))
    def settle(self, one: tuple[Reservation, list[int]] | None, part: int) -> None:
        if one is None:
            return
        reservation, charge = one
        used = min(part, reservation.amount)
        try:
            if used:
                self.limits.commit(self.now_ns, reservation, used)
            else:
                self.limits.refund(self.now_ns, reservation)
        except UnknownReservation:
            assert reservation.expires_ns <= self.now_ns
        else:
            assert reservation.expires_ns > self.now_ns
            charge[1] = used

    @precondition(lambda self: self.charges)
    @invariant()
    def never_exceeds(self) -> None:
        for i, (start_ns, _) in enumerate(self.charges):
            total = 0
            for at_ns, amount in self.charges[i:]:
                total += amount
                assert self.within(at_ns - start_ns + 1, total, start_ns, at_ns), (start_ns, at_ns, total)


class ReservingFixed(Reserving):
    def make(self) -> Meter:
        return FixedWindow(8, 40)

    def within(self, length_ns: int, total: int, start_ns: int, end_ns: int) -> bool:
        return total <= 8 * (end_ns // 40 - start_ns // 40 + 1)


class ReservingLog(Reserving):
    def make(self) -> Meter:
        return SlidingLog(8, 40)

    def within(self, length_ns: int, total: int, start_ns: int, end_ns: int) -> bool:
        return total <= 8 * -(-length_ns // 40)


class ReservingCounter(Reserving):
    def make(self) -> Meter:
        return SlidingCounter(8, 40)

    def within(self, length_ns: int, total: int, start_ns: int, end_ns: int) -> bool:
        return total <= 8 + Fraction(8 * length_ns, 40)


MACHINE = settings(max_examples=60, stateful_step_count=25)
for _machine in (Reserving, ReservingFixed, ReservingLog, ReservingCounter):
    _machine.TestCase.settings = MACHINE
TestReserving = Reserving.TestCase
TestReservingFixed = ReservingFixed.TestCase
TestReservingLog = ReservingLog.TestCase
TestReservingCounter = ReservingCounter.TestCase


@pytest.mark.parametrize("meter", [FixedWindow(9, 60), SlidingCounter(9, 60), SlidingLog(9, 60)])
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), max_size=8), st.integers(1, 9), st.integers(0, 9))
def test_a_window_after_a_commit_is_as_if_only_that_had_been_asked(
    meter: Meter, later: list[tuple[int, int]], amount: int, used: int
) -> None:
    """However much was charged in between."""
    given_back, plain, now_ns = type(meter)(9, 60), type(meter)(9, 60), 1000  # type: ignore[call-arg]
    given_back.take(now_ns, "k", amount)
    if part := min(used, amount):
        plain.take(now_ns, "k", part)
    for gap_ns, n in later:
        now_ns += gap_ns
        given_back.take(now_ns, "k", n)
        plain.take(now_ns, "k", n)
    given_back.give(now_ns, "k", 1000, amount - part)
    for wait_ns in (0, 1, 17, 40, 80):
        assert given_back.look(now_ns + wait_ns, "k", 5) == plain.look(now_ns + wait_ns, "k", 5)


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 90))
def test_a_bucket_charged_by_nobody_else_is_after_a_commit_as_if_only_that_had_been_asked(
    amount: int, used: int, wait_ns: int
) -> None:
    given_back, plain, part = Gcra(2, 9), Gcra(2, 9), min(amount, used)
    given_back.take(1000, "k", amount)
    given_back.give(1000 + wait_ns, "k", 1000, amount - part)
    if part:
        plain.take(1000, "k", part)
    assert given_back.look(1000 + wait_ns, "k", 1) == plain.look(1000 + wait_ns, "k", 1)


def overshoot(limits: Limits | None, concurrent: int) -> int:
    """Tokens let through at one instant of a limit of 1,000: each of so many requests turns out to use 100.

    Without `limits` the naive policy: admit while the bucket is not empty, charge when the answer is finished.
    """
    bucket, admitted = Gcra(1000, 60 * 10**9), 0
    for _ in range(concurrent):
        if limits is None:
            admitted += bucket.look(0, "k", 1).admitted
        else:
            admitted += isinstance(limits.reserve(0, "k", 100), Reservation)
    bucket.take(10**9, "k", 100 * admitted + 1)
    return 100 * admitted


def test_fault_postpaid_token_limit_overshoots_under_concurrency() -> None:
    """320 requests in flight: 32 times the limit, if tokens are charged when they have been made."""
    assert overshoot(None, 320) == 32_000
    assert overshoot(Limits([Level("tokens", Gcra(1000, 60 * 10**9))]), 320) == 1000


class GivesAllBack(Gcra):
    """The obvious refund: put the unused tokens back, however old they are."""

    def give(self, now_ns: int, key: str, taken_ns: int, amount: int) -> None:
        if key in self._states:
            tat, last_ns = self._states[key]
            self._states[key] = (tat - amount * self._cost, last_ns)


def parked(meter: Meter) -> int:
    """Ten reservations of the whole burst, each after the bucket has refilled; then refund one, use it, repeat."""
    limits = one(meter, expire_ns=10**6)
    held = [reserved(limits, 100 * i, 10) for i in range(10)]
    used = 0
    for reservation in held:
        limits.refund(900, reservation)
        used += 10 * limits.ask(900, "k", 10).admitted
    return used


def test_fault_refunds_of_parked_reservations_are_not_a_burst_each() -> None:
    assert parked(GivesAllBack(1, 10, 10)) == 100  # ten bursts in one nanosecond
    assert parked(Gcra(1, 10, 10)) == 10


def test_more_than_reserved_is_debt() -> None:
    limits = one(Gcra(10, 1000))
    limits.commit(0, reserved(limits, 0, 4), 14)
    assert limits.ask(0, "k", 1) == Answer(False, 500, 0, "tenant")
    assert limits.ask(500, "k", 1).admitted


def test_an_expired_reservation_counts_as_used() -> None:
    limits = one(FixedWindow(10, 5000), expire_ns=1000)
    held = reserved(limits, 0, 10)
    with pytest.raises(UnknownReservation, match=r"reservation '1' is unknown: .* settle each once, before .* 1000"):
        limits.refund(1000, held)
    assert limits.open == 0
    assert not limits.ask(1001, "k", 1).admitted
    assert limits.ask(5000, "k", 10).admitted


def test_a_reservation_settles_once() -> None:
    limits = one(FixedWindow(10, 5000))
    held = reserved(limits, 0, 10)
    limits.commit(1, held, 3)
    for settle in (lambda: limits.commit(2, held, 3), lambda: limits.refund(2, held)):
        with pytest.raises(UnknownReservation, match="unknown"):
            settle()
    with pytest.raises(UnknownReservation, match="unknown"):  # a forged amount
        limits.refund(2, reserved(limits, 2, 7)._replace(amount=70))


def test_purging_forgets_expired_reservations() -> None:
    limits = one(FixedWindow(10, 100), expire_ns=50)
    reserved(limits, 0, 10)
    limits.purge(500)
    assert (limits.open, len(limits.levels[0].meter)) == (0, 0)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Limits(levels()).ask(0, {"tenant": "a", "usr": "b", "model": "c"}), "did you mean 'user'?"),
        (lambda: Limits(levels()).ask(0, {"tenant": "a", "zzzz": "b", "model": "c"}), "known: model, tenant, user"),
        (lambda: Limits(levels()).ask(0, {"tenant": "a", "model": "c"}), "level 'user': its key is missing"),
        (lambda: Limits(levels()).ask(0, "a"), "say for which level"),
    ],
)
def test_a_wrong_level_is_one_clear_line(call: object, told: str) -> None:
    assert callable(call)
    with pytest.raises(UnknownLevel, match=told):
        call()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Limits([]), "at least one"),
        (lambda: Limits([Level("a", Gcra(1, 1)), Level("a", Gcra(1, 1))]), "each with its own name"),
        (lambda: one(Gcra(1, 1), 0), "expire_ns 0"),
        (lambda: one(Gcra(1, 1)).ask(0, "k", 0), "amount 0"),
        (lambda: one(Gcra(1, 1)).ask(0, "k", 1.0), "amount 1.0"),  # type: ignore[arg-type]
        (lambda: one(Gcra(5, 1)).commit(0, Reservation("9", "k", 1, 0, 9), -1), "used -1"),
        (lambda: (limits := one(Gcra(5, 1))).ask(7, "k") and limits.ask(6, "k"), "went back from 7 to 6 ns"),
    ],
)
def test_wrong_input_to_a_limiter_is_one_clear_line(call: object, told: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=told):
        call()
