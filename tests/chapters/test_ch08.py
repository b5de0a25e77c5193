"""Chapter 8: hits of both caches, by hand."""

import numpy as np
import pytest

from workbench.chapters import ch08


def test_the_second_question_is_asked_half_as_often_as_the_first() -> None:
    assert ch08.popularity(2, 1.0).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert ch08.popularity(4, 0.0).tolist() == [0.25] * 4


def test_only_an_unbroken_run_from_the_beginning_is_found() -> None:
    """Blocks of 512 in prompts of 1,000: nothing, then all of it (not 1,024), then the first block."""
    asked = [(1, 2), (1, 2), (1, 3)]
    assert ch08._lru_hit_frac(asked, [1000] * 3, 512, 10**9) == (1000 + 512) / 3000
    assert ch08._lru_hit_frac([(1, 2), (9, 2)], [1000] * 2, 512, 10**9) == 0.0


def test_of_a_full_cache_the_end_of_a_prefix_goes_first() -> None:
    """One block is kept, and it is the one that everything begins with."""
    assert ch08._lru_hit_frac([(1, 2), (1, 2), (1, 3)], [1000] * 3, 512, 1) == (512 + 512) / 3000


def test_one_computes_for_all_that_ask_at_once() -> None:
    assert ch08.stampede((1, 7)) == {1: (1, 1), 7: (1, 7)}


def test_one_question_that_never_expires_is_computed_once() -> None:
    """The first fifth is not counted."""
    assert ch08._hit_frac(1e6, np.array([1.0]), 1.0, 50, 1) == 1.0
    assert ch08._hit_frac(1e-9, np.array([1.0]), 1.0, 50, 1) == 0.0
