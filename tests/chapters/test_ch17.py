"""Chapter 17: canaries and alarms before outcomes that are known."""

from workbench.chapters import ch17


def test_a_version_that_fails_thrice_as_often_is_seldom_promoted() -> None:
    """Bound 5 % from twice as bad on: 10 of 60 would be a chance of one in two thousand."""
    assert sum(ch17._trial(3.0, seed)[0] for seed in range(60)) < 10


def test_a_better_version_is_promoted_and_each_side_was_asked_as_often() -> None:
    promoted, asked = ch17._trial(0.5, 0)
    assert promoted
    assert asked % 2 == 0


def test_a_rate_that_doubles_is_seen_in_every_series() -> None:
    found = [ch17._watch(2.0, seed) for seed in range(5)]
    assert all((one.changes, one.detected) == (1, 1) for one in found)
    assert all(one.delay < ch17.PATIENCE for one in found)
