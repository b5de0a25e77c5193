"""Backpressure that does not flicker, and CoDel: a burst passes, a standing line is shed."""

from itertools import pairwise
from math import ceil, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.queueing.codel import CoDel
from workbench.control.queueing.manager import QueueManager
from workbench.control.queueing.pressure import Pressure
from workbench.control.request import Waiting
from workbench.control.scheduling.ordered import Fifo

LENGTHS = st.lists(st.integers(0, 30), max_size=60)


@given(LENGTHS)
def test_a_level_ends_only_below_its_own_lower_bound(lengths: list[int]) -> None:
    pressure, up, down, before = Pressure([5, 12, 20], [2, 9, 15]), (5, 12, 20), (2, 9, 15), 0
    for length in lengths:
        level = pressure.update(length)
        assert sum(length >= bound for bound in up) <= level <= sum(length > bound for bound in down)
        if level > before:
            assert length >= up[level - 1]
        if level < before:
            assert length <= down[level]
        before = level


def changes(pressure: Pressure) -> int:
    levels = [pressure.update(10 + i % 2) for i in range(100)]
    return sum(a != b for a, b in pairwise(levels))


def test_a_line_around_a_bound_changes_the_level_once_without_hysteresis_always() -> None:
    assert changes(Pressure([11], [8])) == 1
    assert changes(Pressure([11], [10])) == 99


@pytest.mark.parametrize(("up", "down", "told"), [
    ([], [], "give both, equally many"), ([3], [], "equally many"), ([3], [3], r"0\] 3: must lie below up\[0\] 3"),
    ([5, 5], [1, 2], r"pressure\.up \[5, 5\]: must rise"), ([5, 9], [3, 2], r"pressure\.down \[3, 2\]: must rise"),
    ([0], [0], r"pressure\.up\[0\] 0"),
])
def test_wrong_levels_are_one_clear_line(up: list[int], down: list[int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Pressure(up, down)


def standing(waited_ns: int, every_ns: int, count: int) -> list[int]:
    """When CoDel (target 5, interval 100) drops, if each that leaves waited so long."""
    codel = CoDel(5, 100)
    return [i * every_ns for i in range(count) if codel.drop(i * every_ns, waited_ns, left=9)]


def test_a_standing_line_is_dropped_at_the_control_laws_times() -> None:
    found, due, gap_ns = standing(50, 1, 700), 100.0, []
    for n in range(1, len(found) + 1):
        gap_ns.append(due)
        due += 100 / sqrt(n)
    assert len(found) > 10
    for at_ns, law_ns in zip(found, gap_ns, strict=True):
        assert law_ns - len(found) <= at_ns <= ceil(law_ns)  # each gap is rounded down


def test_a_burst_shorter_than_the_interval_passes() -> None:
    assert standing(50, 1, 100) == []
    assert standing(4, 1, 5_000) == []
    codel = CoDel(5, 100)  # one that waited little ends it
    assert not any(codel.drop(i, 0 if i % 90 == 0 else 50, left=9) for i in range(5_000))


def test_the_last_one_waiting_is_never_dropped() -> None:
    codel = CoDel(5, 100)
    assert not any(codel.drop(i, 50, left=0) for i in range(1_000))


def test_soon_after_dropping_it_goes_on_near_the_rate_that_worked() -> None:
    codel = CoDel(5, 100)
    first = [now_ns for now_ns in range(1_000) if codel.drop(now_ns, 50, left=9)]
    assert not codel.drop(1_000, 0, left=9)
    again = [now_ns for now_ns in range(1_001, 1_160) if codel.drop(now_ns, 50, left=9)]
    assert again[1] - again[0] < (first[1] - first[0]) // 3


def overload(codel: dict[str, int] | None) -> list[int]:
    """One server of 10 ns a request, an arrival every 8 ns: what the last hundred waited."""
    manager, waits, sequence = QueueManager(Fifo(), codel=codel), [], 0
    for now_ns in range(40_000):
        if now_ns % 8 == 0:
            manager.push(now_ns, Waiting(f"r{sequence}", arrived_ns=now_ns, sequence=sequence))
            sequence += 1
        if now_ns % 10 == 0 and (item := manager.pop(now_ns).item) is not None:
            waits.append(now_ns - item.arrived_ns)
    return waits[-100:]


def test_under_lasting_overload_the_wait_stays_near_the_target_only_with_codel() -> None:
    assert min(overload(None)) > 7_000
    assert max(overload({"target_ns": 50, "interval_ns": 500})) < 1_500
