"""Each meter against a reference written differently, and what each promises about any interval."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.limits import Answer, FixedWindow, Gcra, Meter, Shaper, SlidingCounter, SlidingLog

# gap_ns, amount; long lists, for short ones refuse nobody
ASKS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 29, 31]), st.integers(1, 8)), min_size=12,
                max_size=40)
AMOUNT, PER_NS, BURST = st.sampled_from([1, 2, 3, 5, 7]), st.integers(1, 50), st.integers(1, 9)
WINDOWS = [FixedWindow, SlidingCounter, SlidingLog]
Seen = list[tuple[int, int, Answer]]  # now_ns, amount, answer


def play(meter: Meter, asks: list[tuple[int, int]]) -> Seen:
    now_ns, seen = 0, Seen()
    for gap_ns, amount in asks:
        now_ns += gap_ns
        answer = meter.look(now_ns, "k", amount)
        if answer.admitted:
            meter.take(now_ns, "k", amount)
        seen.append((now_ns, amount, answer))
    return seen


def admitted(seen: Seen) -> list[tuple[int, int]]:
    return [(now_ns, amount) for now_ns, amount, answer in seen if answer.admitted]


def intervals(taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(length_ns, admitted) of every interval [t_i, t_j]; its length counts both ends' instants: t_j - t_i + 1."""
    found = []
    for i, (start_ns, _) in enumerate(taken):
        total = 0
        for at_ns, amount in taken[i:]:
            total += amount
            found.append((at_ns - start_ns + 1, total))
    return found


class Bucket:
    """A token bucket as a textbook draws it: a level in fractions, refilled when somebody looks."""

    def __init__(self, rate: Fraction, burst: int) -> None:
        self.rate, self.burst, self.level, self.at_ns = rate, burst, Fraction(burst), 0

    def ask(self, now_ns: int, amount: int) -> Answer:
        self.level = min(Fraction(self.burst), self.level + (now_ns - self.at_ns) * self.rate)
        self.at_ns = now_ns
        if amount > self.burst:
            return Answer(False, None, floor(self.level))
        if amount > self.level:
            return Answer(False, ceil((amount - self.level) / self.rate), floor(self.level))
        self.level -= amount
        return Answer(True, 0, floor(self.level))


@given(AMOUNT, PER_NS, BURST, ASKS)
def test_gcra_equals_a_bucket_of_fractions(amount: int, per_ns: int, burst: int, asks: list[tuple[int, int]]) -> None:
    bucket = Bucket(Fraction(amount, per_ns), burst)
    for now_ns, asked, answer in play(Gcra(amount, per_ns, burst), asks):
        assert answer == bucket.ask(now_ns, asked)


@given(AMOUNT, PER_NS, BURST, ASKS)
def test_any_interval_admits_at_most_burst_and_rate_times_time(
    amount: int, per_ns: int, burst: int, asks: list[tuple[int, int]]
) -> None:
    for length_ns, total in intervals(admitted(play(Gcra(amount, per_ns, burst), asks))):
        assert total <= burst + Fraction(amount, per_ns) * (length_ns - 1)


@given(st.integers(1, 9), st.integers(2, 60), ASKS)
def test_fixed_window_equals_a_count_by_window(amount: int, per_ns: int, asks: list[tuple[int, int]]) -> None:
    used: dict[int, int] = {}
    for now_ns, asked, answer in play(FixedWindow(amount, per_ns), asks):
        window = now_ns // per_ns
        assert answer.admitted == (used.get(window, 0) + asked <= amount)
        used[window] = used.get(window, 0) + asked * answer.admitted
        assert answer.remaining == amount - used[window]


@given(st.integers(1, 9), st.integers(2, 60), ASKS)
def test_sliding_log_equals_a_sum_over_the_last_window(amount: int, per_ns: int, asks: list[tuple[int, int]]) -> None:
    taken: list[tuple[int, int]] = []
    for now_ns, asked, answer in play(SlidingLog(amount, per_ns), asks):
        used = sum(n for at_ns, n in taken if at_ns > now_ns - per_ns)
        assert answer.admitted == (used + asked <= amount)
        taken += [(now_ns, asked)] * answer.admitted
        assert answer.remaining == amount - used - asked * answer.admitted


@given(st.integers(1, 9), st.integers(2, 60), ASKS)
def test_sliding_counter_equals_its_formula_in_fractions(amount: int, per_ns: int, asks: list[tuple[int, int]]) -> None:
    used: dict[int, int] = {}
    for now_ns, asked, answer in play(SlidingCounter(amount, per_ns), asks):
        window, elapsed_ns = divmod(now_ns, per_ns)
        faded = used.get(window - 1, 0) * (1 - Fraction(elapsed_ns, per_ns))
        assert answer.admitted == (faded + used.get(window, 0) + asked <= amount)
        used[window] = used.get(window, 0) + asked * answer.admitted
        assert answer.remaining == floor(amount - faded - used[window])


@given(st.integers(1, 9), st.integers(2, 60), ASKS)
def test_no_window_wherever_it_begins_exceeds_the_sliding_log(
    amount: int, per_ns: int, asks: list[tuple[int, int]]
) -> None:
    for length_ns, total in intervals(admitted(play(SlidingLog(amount, per_ns), asks))):
        assert total <= amount * ceil(Fraction(length_ns, per_ns))


@given(st.integers(1, 9), st.integers(2, 60), ASKS)
def test_any_interval_of_a_sliding_counter_is_that_of_a_bucket(
    amount: int, per_ns: int, asks: list[tuple[int, int]]
) -> None:
    for length_ns, total in intervals(admitted(play(SlidingCounter(amount, per_ns), asks))):
        assert total <= amount + Fraction(amount * length_ns, per_ns)


@given(st.integers(1, 9), st.integers(2, 60), ASKS)
def test_an_interval_exceeds_a_fixed_window_by_its_edges_only(
    amount: int, per_ns: int, asks: list[tuple[int, int]]
) -> None:
    for length_ns, total in intervals(admitted(play(FixedWindow(amount, per_ns), asks))):
        assert total <= amount * ((length_ns + per_ns - 2) // per_ns + 1)  # windows that so long an interval can touch


def at_the_edge(meter: Meter, per_ns: int) -> int:
    """Admitted in the last ns of one window and the first of the next, one by one."""
    return len(admitted(play(meter, [(per_ns - 1, 1), *[(0, 1)] * 30, (1, 1), *[(0, 1)] * 30])))


def test_fault_double_burst_at_a_fixed_windows_edge() -> None:
    """The fixed window lets twice the limit through in two nanoseconds; the others let through the limit."""
    assert at_the_edge(FixedWindow(10, 1000), 1000) == 20
    assert at_the_edge(SlidingCounter(10, 1000), 1000) == 10
    assert at_the_edge(SlidingLog(10, 1000), 1000) == 10
    assert at_the_edge(Gcra(10, 1000), 1000) == 10


def test_the_sliding_counters_worst_window_is_one_short_of_twice_the_limit() -> None:
    """Reached, so the stated bound is no larger than it need be: all at the end of one window, then as it fades."""
    greedy = [(999, 1), *[(0, 1)] * 9, *[(1, 1)] * 999]
    taken = admitted(play(SlidingCounter(10, 1000), greedy))
    assert max(total for length_ns, total in intervals(taken) if length_ns <= 1000) == 19
    taken = admitted(play(SlidingLog(10, 1000), greedy))
    assert max(total for length_ns, total in intervals(taken) if length_ns <= 1000) == 10


METERS: dict[str, Callable[[], Meter]] = {
    "gcra": lambda: Gcra(3, 70, 8), "fixed": lambda: FixedWindow(8, 70), "counter": lambda: SlidingCounter(8, 70),
    "log": lambda: SlidingLog(8, 70),
}


@pytest.mark.parametrize("name", METERS)
@given(ASKS, st.integers(0, 60), st.integers(1, 9), st.integers(0, 30))
def test_retry_after_is_the_first_ns_that_admits(
    name: str, asks: list[tuple[int, int]], gap_ns: int, amount: int, debt: int
) -> None:
    meter = METERS[name]()
    now_ns = play(meter, asks)[-1][0] + gap_ns
    if debt:
        meter.take(now_ns, "k", debt)
    answer = meter.look(now_ns, "k", amount)
    assert answer.admitted == (answer.retry_after_ns == 0)
    if answer.retry_after_ns is None:
        assert amount > 8
    elif not answer.admitted:
        assert not meter.look(now_ns + answer.retry_after_ns - 1, "k", amount).admitted
        assert meter.look(now_ns + answer.retry_after_ns, "k", amount).admitted
        assert meter.look(now_ns + answer.retry_after_ns + gap_ns, "k", amount).admitted  # and it stays so


@pytest.mark.parametrize("name", METERS)
def test_idle_keys_are_forgotten_and_busy_ones_are_not(name: str) -> None:
    meter, now_ns = METERS[name](), 0
    for i in range(20_000):
        now_ns += 1
        assert meter.look(now_ns, str(i), 8).admitted
        meter.take(now_ns, str(i), 8)
        assert not meter.look(now_ns, str(i), 1).admitted
    assert len(meter) < 1500
    meter.purge(now_ns + 1000)
    assert len(meter) == 0


@pytest.mark.parametrize("name", METERS)
@given(ASKS, st.data())
def test_purging_changes_no_answer(name: str, asks: list[tuple[int, int]], data: st.DataObject) -> None:
    plain, purged, now_ns = METERS[name](), METERS[name](), 0
    for gap_ns, amount in asks:
        now_ns += gap_ns
        if data.draw(st.booleans()):
            purged.purge(now_ns)
        assert plain.look(now_ns, "k", amount) == purged.look(now_ns, "k", amount)
        for meter in (plain, purged):
            meter.take(now_ns, "k", amount)


@given(AMOUNT, PER_NS, BURST, ASKS)
def test_shaper_lets_out_in_order_within_the_same_bound(
    amount: int, per_ns: int, burst: int, asks: list[tuple[int, int]]
) -> None:
    shaper, now_ns, left = Shaper(amount, per_ns, burst, max_wait_ns=200), 0, list[tuple[int, int]]()
    for gap_ns, asked in asks:
        now_ns += gap_ns
        slot = shaper.ask(now_ns, "k", asked)
        assert slot.admitted == (slot.wait_ns is not None and slot.wait_ns <= 200)
        if slot.admitted:
            assert slot.wait_ns is not None
            left.append((now_ns + slot.wait_ns, asked))
    assert left == sorted(left, key=lambda one: one[0])
    for length_ns, total in intervals(left):
        assert total <= burst + Fraction(amount, per_ns) * (length_ns - 1)


@given(AMOUNT, PER_NS, BURST, ASKS)
def test_shaper_waits_no_longer_than_a_bucket_of_its_departures(
    amount: int, per_ns: int, burst: int, asks: list[tuple[int, int]]
) -> None:
    """Least wait: one ns earlier the reference bucket, told of all departures before, would refuse."""
    shaper, now_ns, left = Shaper(amount, per_ns, burst), 0, list[tuple[int, int]]()
    for gap_ns, asked in asks:
        now_ns += gap_ns
        slot = shaper.ask(now_ns, "k", asked)
        if slot.wait_ns is None:
            assert asked > burst
            continue
        bucket = Bucket(Fraction(amount, per_ns), burst)
        for at_ns, n in left:
            assert bucket.ask(at_ns, n).admitted
        out_ns = now_ns + slot.wait_ns
        if slot.wait_ns and out_ns - 1 >= (left[-1][0] if left else 0):
            assert not bucket.ask(out_ns - 1, asked).admitted
        left.append((out_ns, asked))


def test_shaper_does_not_forget_who_still_waits() -> None:
    shaper = Shaper(1, 1000, 1, max_wait_ns=10**9)
    assert [shaper.ask(0, "k").wait_ns for _ in range(3)] == [0, 1000, 2000]
    shaper.purge(1500)
    assert shaper.ask(1500, "k").wait_ns == 1500
    shaper.purge(4000)
    assert len(shaper.meter) == 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Gcra(0, 10), "amount 0: must be a whole number of at least 1"),
        (lambda: Gcra(-3, 10), "amount -3"),
        (lambda: Gcra(1, 0), "per_ns 0"),
        (lambda: Gcra(1, 10, 0), "burst 0"),
        (lambda: Gcra(1, 1.5), "per_ns 1.5: must be a whole number"),  # type: ignore[arg-type]
        (lambda: FixedWindow(0, 10), "amount 0"),
        (lambda: SlidingLog(1, -1), "per_ns -1"),
        (lambda: SlidingCounter(True, 10), "amount True"),
        (lambda: Shaper(1, 10, 1, -1), "max_wait_ns -1"),
        (lambda: Shaper(1, 10).ask(0, "k", 0), "amount 0"),
        (lambda: (shaper := Shaper(1, 10)).ask(5, "k") and shaper.ask(4, "k"), "went back from 5 to 4 ns"),
    ],
)
def test_wrong_limits_are_one_clear_line(call: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()
