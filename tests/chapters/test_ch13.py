"""Chapter 13: who is refused, who is thrown out, by hand."""

import pytest

from workbench.chapters import ch13
from workbench.chapters.ch13 import CAPACITY_TOK, Request

# needs 60 % of the capacity for its prompt, and may need all of it
LARGE = Request(0.0, 10.0, "acme", 60_000, 40_000, 20_000)


def again(at_s: float, tenant: str = "lab") -> Request:
    return Request(at_s, 10.0, tenant, LARGE.prompt_tok, LARGE.most_tok, LARGE.output_tok)


def test_alone_it_finishes_and_memory_grows_with_its_answer() -> None:
    """Step by step 60, 62.5 ... 77.5 thousand tokens for an eighth of its life each."""
    found = ch13.serve([LARGE], 1.0)
    assert (found["finished"], found["refused"], found["evicted"]) == (1.0, 0.0, 0.0)
    by_hand = sum(60_000 + 20_000 * step / 8 for step in range(8)) / 8 / CAPACITY_TOK
    assert found["used"] == pytest.approx(by_hand)


def test_what_is_promised_once_is_refused_to_the_second() -> None:
    found = ch13.serve([LARGE, again(1.0)], 1.0)
    assert (found["refused"], found["finished"], found["finished acme"]) == (0.5, 0.5, 1.0)


def test_what_is_promised_twice_throws_one_out() -> None:
    """Two of 30 thousand fit; grown to 90 each they do not."""
    both = [Request(at_s, 10.0, "lab", 30_000, 70_000, 60_000) for at_s in (0.0, 1.0)]
    found = ch13.serve(both, 2.0)
    assert (found["refused"], found["evicted"], found["finished"]) == (0.0, 0.5, 0.5)


def test_who_comes_after_the_other_has_gone_is_served() -> None:
    assert ch13.serve([LARGE, again(10.5)], 1.0)["finished"] == 1.0
