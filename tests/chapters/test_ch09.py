"""Chapters 9 and G: formulas by hand, and who was answered of those who wanted to be."""

import pytest

from workbench.chapters import app_g, ch09, playing
from workbench.chapters.ch09 import Waits


def test_half_load_waits_as_long_as_it_serves() -> None:
    """M/M/1: rho / (1 - rho); of two servers at half load a third of that."""
    assert Waits(1, (), (), 0).formula(0.5) == pytest.approx(1.0)
    assert Waits(2, (), (), 0).formula(0.5) == pytest.approx(1 / 3)


def test_who_asks_again_is_one_wish() -> None:
    """Every name before `~` once."""
    text = playing.shipped("retry_storm").replace("horizon_s = 60", "horizon_s = 16").replace("duration_s = 50",
                                                                                           "duration_s = 12")
    (run,) = playing.play({"x": text}, (1,)).runs["x"]
    names = run.log.text("request_id").tolist()
    meant = {name.partition("~")[0] for name in names}
    assert len(meant) < len(names)
    assert ch09.answered_of_meant(run) == pytest.approx(run.log.is_ok.sum() / len(meant))


def test_finer_shapes_pad_less_and_are_more() -> None:
    """Every size up to 2,048 once. Doubling from 16: two thirds of the next power, roughly, are used."""
    found = app_g.padding()
    gaps = dict(zip(found.names, found.padded_frac, strict=True))
    assert gaps["every 64"] < gaps["every 128"] < gaps["every 256"]
    shapes = dict(zip(found.names, found.shapes, strict=True))
    assert shapes["doubling"] == 8  # 16 to 2,048
    used = sum(range(1, 2049)) / (16 * 16 + sum(2**k * 2 ** (k - 1) for k in range(5, 12)))
    assert gaps["doubling"] == pytest.approx(1 - used)
