"""Appendix H: when a download is whole."""

import numpy as np

from workbench.chapters import app_h


def test_a_download_that_continues_adds_its_visits_up() -> None:
    on_s, begin_s = np.array([[10.0, 10.0, 10.0]]), np.array([[0.0, 100.0, 200.0]])
    assert app_h._hours(on_s, begin_s, 25.0, again=False)[0] * 3600 == 205.0
    assert app_h._hours(on_s, begin_s, 10.0, again=False)[0] * 3600 == 10.0
    assert np.isinf(app_h._hours(on_s, begin_s, 31.0, again=False)[0])


def test_one_that_begins_again_needs_a_visit_that_is_long_enough() -> None:
    on_s, begin_s = np.array([[10.0, 30.0, 10.0]]), np.array([[0.0, 100.0, 200.0]])
    assert app_h._hours(on_s, begin_s, 25.0, again=True)[0] * 3600 == 125.0
    assert np.isinf(app_h._hours(on_s, begin_s, 31.0, again=True)[0])


def test_continuing_is_never_later() -> None:
    synced = app_h.sync(1.5, 120.0, 3, quick=True)
    again, kept = (synced.hours[name] for name in list(synced.hours)[:2])
    assert (kept <= again).all()


def test_devices_answer_at_least_what_the_cloud_does() -> None:
    for share in (0.0, 0.5):
        cloud, both = app_h._answered(share, 200, 1)
        assert cloud <= both
    assert app_h._answered(0.0, 200, 1) == (1.0, 1.0)
