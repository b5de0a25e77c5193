"""No oscillation under constant load, cold starts counted once, and the fault of the naive one shown."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.capacity.concurrency import Concurrency
from workbench.control.capacity.predictive import Predictive, SeasonalNaive, predictive_seasonal
from workbench.control.capacity.protocol import PPM, Autoscaler, Observed
from workbench.control.capacity.queue import QueueBased
from workbench.control.capacity.scale_in import Member, ScaleIn
from workbench.control.capacity.steady import SECOND, Steady
from workbench.control.capacity.target import TargetTracking, Thresholds

STEP_NS = 15 * SECOND
SLOTS = 10


def fleet(
    scaler: Autoscaler, arrivals: Sequence[int], ready: int = 1, cold: int = 2, slots: int = SLOTS
) -> list[Observed]:
    """Each request takes one step and one slot; a replica asked for serves `cold` steps later; those that start stop
    first. What was observed before each decision."""
    starting: list[int] = []
    waiting, seen = 0, []
    for at, arrived in enumerate(arrivals):
        ready, starting = ready + sum(when <= at for when in starting), [when for when in starting if when > at]
        running = min(waiting + arrived, ready * slots)
        waiting += arrived - running
        now = Observed(ready, len(starting), running, waiting, arrived, running * PPM // slots)
        seen.append(now)
        wanted = scaler.decide(at * STEP_NS, now)
        assert wanted >= 0
        more = wanted - now.replicas
        if more >= 0:
            starting += [at + cold] * more
        else:
            stop = min(-more, len(starting))
            starting, ready = starting[: len(starting) - stop], max(0, ready + more + stop)
    return seen


def turns(seen: Sequence[Observed]) -> int:
    """How often it changed from more to fewer or back."""
    sizes = [now.replicas for now in seen]
    signs = [b > a for a, b in itertools.pairwise(sizes) if a != b]
    return sum(a != b for a, b in itertools.pairwise(signs))


SCALERS: dict[str, Callable[[], Autoscaler]] = {
    "target": lambda: Steady(TargetTracking()),
    "target, bare": lambda: TargetTracking(),
    "queue": lambda: Steady(QueueBased(SLOTS, STEP_NS, 10 * STEP_NS)),
    "concurrency": lambda: Concurrency(7, stable_ns=4 * STEP_NS, panic_window_ppm=250_000),
    "predictive": lambda: Steady(predictive_seasonal(20 * STEP_NS, STEP_NS, SLOTS, STEP_NS, 10 * STEP_NS, 2 * STEP_NS)),
}


@pytest.mark.parametrize("name", SCALERS)
@given(load=st.integers(1, 300), ready=st.integers(1, 40), cold=st.integers(1, 6))
def test_constant_load_brings_it_to_rest(name: str, load: int, ready: int, cold: int) -> None:
    """Out, in once the backlog is gone, and never again; with enough for the load."""
    seen = fleet(SCALERS[name](), [load] * 160, ready, cold)
    assert turns(seen) <= 2
    assert len({now.replicas for now in seen[-60:]}) == 1
    assert seen[-1].ready * SLOTS >= load
    assert seen[-1].waiting == 0
    assert seen[-1].ready <= max(1, ceil(Fraction(load * 10, SLOTS * 7) * Fraction(10, 9)))  # not too many either


@given(load=st.integers(20, 300), noise=st.lists(st.integers(-1, 1), min_size=160, max_size=160))
def test_noise_within_the_tolerance_moves_nothing_once_at_rest(load: int, noise: list[int]) -> None:
    """5 % of noise around a constant, on the edge between N and N-1 too."""
    base = fleet(SCALERS["target"](), [load] * 80)[-1].ready
    on_target = base * 7
    seen = fleet(Steady(TargetTracking()), [on_target + n * (on_target // 20) for n in noise], ready=base)
    assert {now.replicas for now in seen} == {base}


def test_fault_a_naive_autoscaler_flaps_between_n_and_n_minus_one() -> None:
    """Constant load of 2.2 replicas: 4 are below the low mark, 3 above the high one. Ours stays."""
    arrivals = [22] * 200
    naive = fleet(Thresholds(), arrivals, ready=4, cold=1)
    assert {now.replicas for now in naive[20:]} == {3, 4}
    assert turns(naive) > 50
    ours = fleet(Steady(TargetTracking()), arrivals, ready=4)
    assert turns(ours) == 0
    assert {now.replicas for now in ours} == {4}
    # the same with a metric that moves a little around the edge: tolerance and stabilisation are what it takes
    edge = [35 + (-1) ** i for i in range(200)]
    assert turns(fleet(TargetTracking(tolerance_ppm=0), edge, ready=5)) > 50
    assert turns(fleet(TargetTracking(), edge, ready=5)) == 0
    assert turns(fleet(Steady(TargetTracking(tolerance_ppm=0)), edge, ready=5)) == 0


@given(
    ready=st.integers(1, 50), starting=st.integers(0, 50), load=st.integers(0, 60 * PPM),
    target=st.integers(1, 2 * PPM), tolerance=st.integers(0, PPM),
)
def test_target_tracking_equals_the_documented_formula(
    ready: int, starting: int, load: int, target: int, tolerance: int
) -> None:
    found = TargetTracking(target, tolerance).decide(0, Observed(ready, starting, load_ppm=load))
    total, allowed = ready + starting, Fraction(tolerance, PPM)
    ratio = Fraction(load, ready * target)
    if ratio > 1 and starting:  # those that start count as idle
        again = Fraction(load, total * target)
        expected = total if again <= 1 + allowed or abs(ratio - 1) <= allowed else ceil(again * total)
    else:
        expected = total if abs(ratio - 1) <= allowed else ceil(ratio * ready)
    assert found == expected


def test_a_cold_start_is_not_answered_by_more_of_it() -> None:
    scaler = TargetTracking()
    assert scaler.decide(0, Observed(ready=2, load_ppm=2 * PPM)) == 3
    assert scaler.decide(1, Observed(ready=2, starting=1, load_ppm=2 * PPM)) == 3
    assert scaler.decide(2, Observed(ready=0, starting=1)) == 1


def test_a_queue_is_gone_in_the_time_that_was_stated() -> None:
    scaler = QueueBased(SLOTS, STEP_NS, 5 * STEP_NS)
    wanted = scaler.decide(0, Observed(ready=1, running=0, waiting=500))
    assert wanted == 10
    seen = fleet(Steady(scaler), [500] + [0] * 9, ready=10, cold=1)
    assert seen[0].waiting == 400
    assert seen[5].waiting == 0


def test_panic_answers_a_burst_at_once_and_never_scales_in() -> None:
    scaler = Concurrency(10, stable_ns=60 * SECOND)
    for second in range(0, 60, 2):
        assert scaler.decide(second * SECOND, Observed(ready=2, running=15)) == 2
    # the stable mean alone would want 3
    assert scaler.decide(60 * SECOND, Observed(ready=2, running=20, waiting=100)) == 5
    wanted = [scaler.decide((62 + 2 * i) * SECOND, Observed(ready=5, running=5)) for i in range(40)]
    assert wanted == [5] * 29 + [2] * 11  # at most to the half in one step


def test_a_season_known_is_served_before_it_begins() -> None:
    season = [10] * 12 + [80] * 8
    later = slice(3 * len(season), None)
    forecasting = predictive_seasonal(20 * STEP_NS, STEP_NS, SLOTS, STEP_NS, 10 * STEP_NS, 2 * STEP_NS)
    ahead = fleet(Steady(forecasting, in_ns=2 * STEP_NS), season * 6)[later]
    behind = fleet(Steady(QueueBased(SLOTS, STEP_NS, 10 * STEP_NS), in_ns=2 * STEP_NS), season * 6)[later]
    assert sum(now.waiting for now in ahead) == 0 < sum(now.waiting for now in behind)


def test_seasonal_naive_is_what_was_a_season_ago() -> None:
    naive = SeasonalNaive(season_ns=40, slot_ns=10)
    assert naive.forecast(0, 10) is None
    for now_ns, demand in ((0, 5), (5, 6), (12, 20), (31, 40)):  # nothing was seen in the third slot
        naive.observe(now_ns, demand)
    assert [naive.forecast(35, ahead_ns) for ahead_ns in (5, 10, 20, 30, 40, 50)] == [6, 6, 20, None, 40, None]
    naive.observe(1000, 1)  # a long gap: all is forgotten
    assert naive.forecast(1000, 10) is None
    with pytest.raises(ValueError, match="season_ns: 41 is not a multiple of slot_ns 10"):
        SeasonalNaive(41, 10)


class Says:
    """An autoscaler that says what it is told."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = list(values)

    def decide(self, now_ns: int, observed: Observed) -> int:
        return self.values.pop(0)


@given(
    values=st.lists(st.integers(0, 20), min_size=1, max_size=40),
    in_steps=st.integers(0, 6), out_steps=st.integers(0, 4),
    most_in=st.none() | st.integers(1, 4), most_out=st.none() | st.integers(1, 4), protected=st.integers(0, 12),
)
def test_stabilisation_bounds_and_protection(
    values: list[int], in_steps: int, out_steps: int, most_in: int | None, most_out: int | None, protected: int
) -> None:
    steady = Steady(Says(values), 2, 15, in_steps * STEP_NS, out_steps * STEP_NS, most_in, most_out)
    now = 5
    for i in range(len(values)):
        wanted = steady.decide(i * STEP_NS, Observed(now, protected=protected))
        lately = values[max(0, i - in_steps): i + 1], values[max(0, i - out_steps): i + 1]
        expected = now
        if min(lately[1]) > now:
            expected = min(lately[1]) if most_out is None else min(min(lately[1]), now + most_out)
        elif max(lately[0]) < now:
            expected = max(lately[0]) if most_in is None else max(max(lately[0]), now - most_in)
        assert wanted == max(min(15, max(2, expected)), min(protected, now))
        now = wanted


def test_who_stops_serves_least_and_nobody_protected_does() -> None:
    members = [Member(0, 0, 5), Member(1, 0, 0, pinned=True), Member(2, None), Member(3, 90, 0), Member(4, 10, 2),
               Member(5, 20, 2)]
    picks = ScaleIn(young_ns=50)
    assert picks.pick(100, members, 9) == (2, 5, 4, 0)
    assert picks.pick(100, members, 2) == (2, 5)
    assert picks.pick(100, members, -1) == ()
    assert ScaleIn(outstanding=2).pick(100, members, 9) == (2, 3, 5, 4)
    assert Counter(picks.protected(100, m) for m in members) == {True: 2, False: 4}


@pytest.mark.parametrize(("make", "message"), [
    (lambda: TargetTracking(0), "target_ppm 0"), (lambda: Thresholds(5, 5), "low_ppm: 5 is not below high_ppm 5"),
    (lambda: QueueBased(0, 1, 1), "slots 0"), (lambda: Concurrency(1, panic_window_ppm=0), "panic_window_ppm: 0"),
    (lambda: Concurrency(1, panic_ppm=PPM), "panic_ppm 1000000"), (lambda: Steady(Says([]), 5, 4), "least: 5 is more"),
    (lambda: Predictive(SeasonalNaive(2, 1), 1, 1, 1, 0, 1), "cold_ns 0"), (lambda: ScaleIn(-1), "young_ns -1"),
])
def test_parameters_that_make_no_sense(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_clock_never_goes_back() -> None:
    scaler = Steady(TargetTracking())
    scaler.decide(5, Observed(1))
    with pytest.raises(ValueError, match="clock went back from 5 to 4 ns"):
        scaler.decide(4, Observed(1))
