"""Attainment by tier against a list of everything that ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.scheduling.sla import Attained, Attainment, Target

TARGETS = {"pro": Target(ttft_ns=10, e2e_ns=50, target_ppm=900_000), "free": Target(ttft_ns=40, target_ppm=500_000)}
TOLD = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["pro", "free"]), st.none() | st.integers(0, 60),
                          st.none() | st.integers(0, 80), st.booleans()), min_size=15, max_size=40)


@given(TOLD)
def test_attainment_is_the_count_over_the_windows_slots(
    rows: list[tuple[int, str, int | None, int | None, bool]]
) -> None:
    tracker, now_ns, ended = Attainment(TARGETS, window_ns=100, slots=10), 0, []
    for gap_ns, tier, ttft_ns, e2e_ns, ok in rows:
        now_ns += gap_ns
        target = TARGETS[tier]
        met = ok and ttft_ns is not None and target.ttft_ns is not None and ttft_ns <= target.ttft_ns and (
            target.e2e_ns is None or (e2e_ns is not None and e2e_ns <= target.e2e_ns))
        assert tracker.told(now_ns, tier, ttft_ns, e2e_ns, ok) == met
        ended.append((now_ns, tier, met))
        for name in TARGETS:
            seen = [m for at_ns, t, m in ended if t == name and at_ns // 10 > now_ns // 10 - 10]
            assert tracker.attained(now_ns, name) == (sum(seen), len(seen))
            assert (name in tracker.short(now_ns)) == (sum(seen) * 1_000_000 < TARGETS[name].target_ppm * len(seen))


def test_parts_per_million_are_whole_and_rounded_down() -> None:
    assert Attained(2, 3).ppm == 666_666
    assert Attained(0, 0).ppm is None
    assert Attainment(TARGETS, 60).short(0) == ()  # nothing ended, nothing broken


@pytest.mark.parametrize(("call", "told"), [
    (lambda: Attainment(TARGETS, 0), "window_ns 0"),
    (lambda: Attainment(TARGETS, 100, 7), "window_ns 100: is not a whole multiple of 7 slots"),
    (lambda: Attainment({"pro": {"ttft": 3}}, 60), r"targets\.pro .*known keys: ttft_ns, e2e_ns, target_ppm"),
    (lambda: Attainment({"pro": {"target_ppm": -1}}, 60), r"targets\.pro\.target_ppm -1"),
    (lambda: Attainment(TARGETS, 60).attained(0, "por"), "tier 'por' has no target; known: pro, free"),
])
def test_wrong_targets_are_one_clear_line(call, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=told):
        call()


def test_attainments_clock_never_goes_back() -> None:
    tracker = Attainment(TARGETS, 60)
    tracker.told(5, "pro", 1, 1)
    with pytest.raises(ValueError, match="went back from 5 to 4"):
        tracker.attained(4, "pro")
