"""What chapters share: scenarios with lines changed, and figures of what was played."""

import numpy as np
import pytest

from workbench.chapters import about, playing
from workbench.chapters.playing import Played
from workbench.errors import UsageError

TEXT = '[a]\nx = 1\n[a.b]\ny = 2\n[[c]]\nz = 3\n[ab]\nw = 4\n'


def test_a_table_goes_with_all_inside_it_and_nothing_else() -> None:
    assert playing.without(TEXT, "a") == "[[c]]\nz = 3\n[ab]\nw = 4\n"
    assert playing.without(TEXT, "c", "a.b") == "[a]\nx = 1\n[ab]\nw = 4\n"
    with pytest.raises(ValueError, match="no tables"):
        playing.without(TEXT, "b")


def test_an_edit_that_no_longer_fits_is_an_error() -> None:
    assert playing.changed("a b", ("a", "c")) == "c b"
    for text in ("b", "a a"):
        with pytest.raises(ValueError, match="occurs"):
            playing.changed(text, ("a", "c"))


@pytest.fixture(scope="module")
def played() -> Played:
    text = playing.shipped("flash_crowd").replace("duration_s = 50", "duration_s = 24")
    return playing.play({"as it is": playing.without(text, "control.cache")}, (1, 2))


def test_over_time_everybody_ends_once(played: Played) -> None:
    for run in played.runs["as it is"]:
        ended = sum(float(playing.over_time(run, 2.0, kind)[1].sum()) * 2.0 for kind in ("answered", "refused",
                                                                                         "failed"))
        assert round(ended) == len(run.log)
        assert sum(playing.share((one,))(run) for one in playing.ENDS) == pytest.approx(1.0)


def test_a_tenant_has_its_own_figures(played: Played) -> None:
    run = played.runs["as it is"][0]
    mine = playing.mine(run.log, "usual") & run.log.is_ok
    assert playing.ttft_s(1.0, "usual")(run) == playing.waits_s(run.log)[mine].max()
    assert np.isnan(playing.ttft_s(0.5, "nobody")(run))


def test_the_mean_of_two_seeds_and_its_interval(played: Played) -> None:
    """1 and 3: 2 ± 12.706 x 1, cut off at zero."""
    values = iter((1.0, 3.0))
    mean, low, high = played.over_seeds(lambda _: next(values))["as it is"]
    assert (mean, low) == (2.0, 0.0)
    assert high == pytest.approx(2 + 12.7062)


def test_a_list_names_what_is_nearest() -> None:
    assert about.chosen("x", "b, a", ("a", "b")) == ["b", "a"]
    with pytest.raises(UsageError, match="x: names none of a, b"):
        about.chosen("x", " , ", ("a", "b"))
