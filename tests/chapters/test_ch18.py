"""Chapter 18: distances, who is served where, when a burning budget calls somebody, what a mixture saves."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.plane.scenario import PlaneCase
from workbench.chapters import ch18, ch18_burn, ch18_burst, ch18_degraded, ch18_regions, ch18_replicas, playing
from workbench.chapters.ch18_burst import Priced
from workbench.chapters.ch18_regions import Place, Way
from workbench.chapters.playing import Played
from workbench.control.anomaly.burn import RULES
from workbench.errors import UsageError
from workbench.flows.trial import Trial
from workbench.paths import data
from workbench.stats.intervals import Interval

THREE = st.lists(st.integers(0, 20), min_size=3, max_size=3)


@pytest.mark.parametrize("name", ch18.INCIDENTS)
def test_every_incident_is_a_scenario_with_and_without(name: str) -> None:
    texts = ch18.INCIDENTS[name].texts()
    assert set(texts) == {"without", "with"}
    assert texts["without"] != texts["with"]
    for text in texts.values():
        PlaneCase.of(text, "scenario.toml", data("scenarios") / "plane")


@pytest.mark.parametrize(("objective_ppm", "bad_ppm"), [(999_000, 1_000_000), (999_000, 20_000), (990_000, 400_000)])
def test_a_rule_fires_when_its_window_has_burnt_its_share(objective_ppm: int, bad_ppm: int) -> None:
    """Of a window without errors, t seconds are bad: t x share = budget x rate x window. To a step, a look, and the
    hour in 72 by which days without an error are told."""
    found = ch18_burn.fires_s(bad_ppm, objective_ppm)
    for rule in RULES:
        by_hand_s = (1e6 - objective_ppm) * rule.rate_milli / 1000 * rule.long_ns * 1e-9 / bad_ppm
        look_s = 10 if by_hand_s < 3600 else 60 if by_hand_s < 6 * 3600 else 3600
        assert -60 <= found[rule.name] - by_hand_s <= look_s + by_hand_s / 72


def test_what_the_budget_allows_calls_nobody() -> None:
    assert set(ch18_burn.fires_s(1000, 999_000).values()) == {math.inf}


def test_an_infinite_time_has_no_mean() -> None:
    assert ch18_burn.interval([1.0, math.inf]) is None
    one = ch18_burn.interval([3.0])
    assert one is not None
    assert (one.low, one.high, one.n) == (3.0, 3.0, 1)


def test_distances_on_a_ball() -> None:
    pole, equator, behind = Place(90.0, 0.0, 0), Place(0.0, 17.0, 1), Place(0.0, -163.0, -11)
    assert ch18_regions.km(pole, equator) == pytest.approx(math.pi / 2 * 6371)
    assert ch18_regions.km(equator, behind) == pytest.approx(math.pi * 6371)
    assert ch18_regions.round_trip_s(pole, equator, 1.0) == pytest.approx(math.pi * 6371 / 204_000)


def test_days_begin_in_the_east() -> None:
    """Tokyo (UTC+9) has at 0:00 UTC what Frankfurt (UTC+1) has eight hours later."""
    tokyo, frankfurt = ch18_regions.day_rps(("tokyo", "frankfurt"), 80.0)
    assert tokyo[0] == frankfurt[8]
    assert tokyo.max() == frankfurt.max() == 80.0
    assert sorted(tokyo) == sorted(frankfurt)


def test_what_is_too_much_goes_to_the_nearest_with_room() -> None:
    trips = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    served = ch18_regions.moved(np.array([10.0, 12.0, 12.0]), np.array([15.0, 10.0, 5.0]), trips)
    assert served.tolist() == [[10.0, 2.0, 3.0], [0.0, 10.0, 0.0], [0.0, 0.0, 5.0]]


@settings(max_examples=30, deadline=None)
@given(room=THREE, load=THREE)
def test_everybody_is_served_once_and_nobody_over_his_room_abroad(room: list[int], load: list[int]) -> None:
    trips = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    served = ch18_regions.moved(np.array(room, dtype=float), np.array(load, dtype=float), trips)
    assert served.sum(axis=1).tolist() == load
    waiting = max(0, sum(load) - sum(room))
    assert np.maximum(served.sum(axis=0) - room, 0).sum() == waiting
    assert all(served[a, b] == 0 for a in range(3) for b in range(3) if a != b and load[b] > room[b])


def test_what_a_mixture_saves_and_from_when_owning_pays() -> None:
    """Four machines owned cost 8, so 2 each; rented ones 4 each: half a day's hours."""
    rows = {"owned": {"usd_per_hour": 8.0}, "hybrid": {"usd_per_hour": 6.0}, "rented, fixed": {"usd_per_hour": 16.0}}
    found = Priced(rows, {"replicas": [1, 3], "spare_replicas": 1}, "")
    assert ch18_burst.saved_frac(found) == 0.25
    assert ch18_burst.worth_hours(found) == 12.0


@pytest.mark.parametrize(("change", "message"), [
    ({"regions": "tokio"}, "did you mean 'tokyo'"), ({"regions": "tokyo"}, "give two or more"),
    ({"path_times": 0.5}, "path_times: 0.5: must be 1 to 5"),
])
def test_bad_parameters_are_refused(change: dict[str, object], message: str) -> None:
    asked = {"regions": "tokyo,sydney", "region_peak_rps": 20.0, "path_times": 1.5, "seeds": 2, "quick": True}
    with pytest.raises(UsageError, match=message):
        ch18_regions.world(**{**asked, **change})  # type: ignore[arg-type]


def test_spoilt_is_what_the_old_version_would_have_got_right() -> None:
    """Old: bad below 0.02; new, twice as bad: below 0.04. Two of five lie between."""
    luck = np.array([0.01, 0.02, 0.03, 0.04, 0.9])
    assert ch18_degraded.nobody(luck, 2.0, 1) == 2
    assert ch18_degraded.nobody(luck, 1.0, 1) == 0


def test_looking_never_spoils_more_and_a_canary_little() -> None:
    luck = np.random.default_rng(1).random(4000)
    all_of_it = ch18_degraded.nobody(luck, 5.0, 1)
    assert 0 < ch18_degraded.alarm(luck, 5.0, 1) < all_of_it / 4
    assert 0 <= ch18_degraded.canary(luck, 5.0, 1) < all_of_it / 4


def test_what_is_left_without_a_region() -> None:
    way = Way((3, 0), 0.5, 0.1, None)
    assert ch18_regions.held(way) == "none"
    falls = Trial(2, 30.0, Interval(0.9, 0.8, 1.0, 2), 1.0, 1.25, {}, 0.95, {})
    assert ch18_regions.held(replace(way, lost=falls)) == "at most 80.0 %: it falls behind"
    keeps = replace(falls, load_frac=0.9)
    assert ch18_regions.held(replace(way, lost=keeps)) == "90.0 % (80.0 % to 100.0 %)"


def test_the_replica_that_left_the_others_is_found_where_the_median_shows_nothing() -> None:
    text = playing.changed(ch18.INCIDENTS["slow"].texts()["without"], ("duration_s = 60", "duration_s = 30"))
    whole = text[:text.index("[[failures]]")] + '[slo."*"]\nttft_s = 2.0\n'
    slow, usual = (Played((1,), {"without": playing.play({"x": one}, [1]).runs["x"]}, "p") for one in (text, whole))
    assert ch18_replicas.apart(usual.runs["without"][0]) < 2
    assert ch18_replicas.apart(slow.runs["without"][0]) > 20
    tails = ch18_replicas.tails_s(slow.runs["without"][0])
    assert max(tails, key=tails.__getitem__) == "1"
    chart = ch18_replicas.replicas_chart({"usual": usual, "slow": slow}, {"usual": "nothing", "slow": "it grows slow"})
    assert chart.caption.startswith("It grows slow")
    worst, others, median = (series.y for series in chart.panels[0].series)
    assert max(value or 0 for value in worst) > 10 * max(value or 0 for value in others)
    assert max(value or 0 for value in median) < 0.1
