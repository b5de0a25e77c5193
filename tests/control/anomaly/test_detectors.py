"""Detectors against exact references, and what a season does to those that know none."""

import importlib.util
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.anomaly.change import Cusum, Deseasoned, PageHinkley, cusum_seasonal
from workbench.control.anomaly.protocol import Alarm, Detector
from workbench.control.anomaly.score import Score, score
from workbench.control.anomaly.seasonal import SeasonalNaive

# some stay for a while
VALUES = st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 6)), min_size=4, max_size=30).map(
    lambda runs: [value for value, times in runs for _ in range(times)])


def alarms(detector: Detector, values: list[int]) -> list[tuple[int, str]]:
    found = [detector.update(at, value) for at, value in enumerate(values)]
    return [(alarm.at_ns, alarm.what) for alarm in found if alarm is not None]


@given(values=VALUES, learn=st.integers(2, 12), slack=st.integers(0, 1500), limit=st.integers(1, 5000))
def test_cusum_equals_its_definition_in_fractions(values: list[int], learn: int, slack: int, limit: int) -> None:
    expected, known, up, down = [], [], Fraction(0), Fraction(0)
    mean = spread = Fraction(0)
    for at, value in enumerate(values):
        if len(known) < learn:
            known.append(value)
            mean = Fraction(sum(known), len(known))
            # as it is kept: in 1/learn, rounded down, at least 1
            spread = max(Fraction(sum(abs(learn * x - mean * learn) for x in known) // learn, learn), Fraction(1))
            continue
        off = (value - mean) / spread
        up = max(Fraction(0), up + off - Fraction(slack, 1000))
        down = max(Fraction(0), down - off - Fraction(slack, 1000))
        if max(up, down) > Fraction(limit, 1000):
            expected.append((at, "up" if up > down else "down"))
            known, up, down = [], Fraction(0), Fraction(0)
    assert alarms(Cusum(learn, slack, limit), values) == expected


@given(values=VALUES, limit=st.integers(1, 200), slack=st.integers(0, 5), learn=st.integers(1, 20))
def test_page_hinkley_equals_its_definition_up_to_the_stated_rounding(
    values: list[int], limit: int, slack: int, learn: int
) -> None:
    """Both bounds: with the mean in fractions, and the limit moved by a millionth a value."""
    def reference(moved: Fraction) -> list[int]:
        known: list[int] = []
        up = down = least = greatest = Fraction(0)
        found = []
        for at, value in enumerate(values):
            known.append(value)
            off = value - Fraction(sum(known), len(known))
            up, down = up + off - slack, down + off + slack
            least, greatest = min(least, up), max(greatest, down)
            if len(known) >= learn and max(up - least, greatest - down) > limit + moved:
                found.append(at)
                known, up, down, least, greatest = [], Fraction(0), Fraction(0), Fraction(0), Fraction(0)
        return found

    slightly = Fraction(len(values), 10**6)
    low, high = reference(-slightly), reference(slightly)
    if low == high:  # nothing lies on the limit itself
        assert [at for at, _ in alarms(PageHinkley(limit, slack, learn), values)] == low


@pytest.mark.parametrize(("shift", "direction"), [(60, "up"), (-60, "down")])
@pytest.mark.parametrize("make", [Cusum, lambda: PageHinkley(limit=400, slack=10)])
def test_a_shift_is_seen_soon_and_its_direction_named(
    make: Callable[[], Detector], shift: int, direction: str
) -> None:
    draws = random.Random(3)
    values = [round(draws.gauss(1000, 20)) + (shift if at >= 200 else 0) for at in range(260)]
    assert [(200 <= at < 215, what) for at, what in alarms(make(), values)] == [(True, direction)]


def test_a_season_is_no_change_where_it_is_known() -> None:
    season = [round(100 * abs(at - 12)) for at in range(24)]
    values = season * 20
    assert alarms(cusum_seasonal(24, learn=24), values) == []
    assert alarms(SeasonalNaive(24), values) == []
    assert len(alarms(Cusum(learn=24, limit_milli=4000), values)) > 10
    shifted = values[:240] + [x + 50 for x in values[240:]]
    assert alarms(cusum_seasonal(24, learn=24), shifted) == [(240, "up")]  # once, not when it has become the past
    assert alarms(SeasonalNaive(24), shifted) == [(240, "up")]


def test_alarms_say_what_was_exceeded() -> None:
    detector = Cusum(learn=2, slack_milli=0, limit_milli=1000)
    assert [detector.update(at, value) for at, value in enumerate((10, 14, 12, 15))] == [
        None, None, None, Alarm(3, "up", "notice", 1500, 1000, "milli_spread")]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Cusum(learn=1), "learn 1"), (lambda: Cusum(limit_milli=0), "limit_milli 0"),
    (lambda: PageHinkley(limit=0), "limit 0"), (lambda: SeasonalNaive(1), "season 1"),
    (lambda: Deseasoned(Cusum(), 0), "season 0"),
    (lambda: Cusum().update(0, 1.5), r"value 1\.5: must be a whole number"),
    (lambda: score([], [5, 9], 10), "changes: two are less than 10 steps apart"),
])
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_scores_count_each_alarm_once() -> None:
    assert score([3, 50, 52, 70, 200], [50, 150], 20) == Score(2, 1, 3, 0)
    assert score([149, 155], [150], 20) + Score(1, 1, 0, 7) == Score(2, 2, 1, 12)


def bench() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "detectors.py"
    spec = importlib.util.spec_from_file_location("detectors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_ours_find_more_than_the_baseline_with_no_more_false_alarms() -> None:
    module, runs = bench(), 6
    for case in ("season, small shift", "season, large shift"):
        base = module.measure("seasonal-naive (baseline)", case, runs)
        for ours in ("CUSUM, deseasoned", "Page-Hinkley, deseasoned"):
            found = module.measure(ours, case, runs)
            assert found.detected > base.detected
            assert found.false_alarms <= base.false_alarms + 2
        blind = module.measure("CUSUM", case, runs)  # the season is one false alarm after the other
        assert blind.false_alarms > 5 * runs
