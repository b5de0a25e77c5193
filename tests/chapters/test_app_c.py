"""Appendix C: what is left of a trouble, and whether that is sure; every trouble can be made."""

import numpy as np
import pytest

from workbench.chapters import app_c
from workbench.chapters.app_c import Seen
from workbench.chapters.app_c_troubles import TROUBLES
from workbench.errors import UsageError


def test_what_is_left_is_a_share_seed_by_seed() -> None:
    """1/10 and 3/10; their mean is not that of 4/30 and the like."""
    seen = Seen(np.array([10.0, 10.0]), np.array([1.0, 3.0]))
    assert seen.left is not None
    assert seen.left.mean == pytest.approx(0.2)
    assert Seen(np.array([0.0, 1.0]), np.array([0.0, 1.0])).left is None


def test_it_is_sure_only_where_every_likely_difference_is_one() -> None:
    """Differences 8 and 9: 8.5 ± 12.7 x 0.5; 1 and 9: 5 ± 12.7 x 4."""
    assert Seen(np.array([10.0, 11.0]), np.array([2.0, 2.0])).sure
    assert not Seen(np.array([3.0, 11.0]), np.array([2.0, 2.0])).sure


def test_the_answer_names_what_leaves_most() -> None:
    found = {"queue": Seen(np.array([10.0, 10.0]), np.array([1.0, 1.0])),
             "cache": Seen(np.array([1.0, 1.0]), np.array([0.5, 0.5]))}
    said = app_c.answer(found).text
    assert said.startswith("2 of 2 troubles are surely less")
    assert TROUBLES["cache"].symptom in said
    assert "50.0 % of its figure is left (50.0 % to 50.0 %)" in said


def test_an_unknown_trouble_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'stall'"):
        app_c.experiment("stal", 2, quick=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", TROUBLES)
def test_every_trouble_is_made_and_mended(name: str) -> None:
    """The scenario behind each row shows its symptom, and surely less of it with the remedy."""
    assert app_c.experiment(name, 5, quick=False)[name].sure
