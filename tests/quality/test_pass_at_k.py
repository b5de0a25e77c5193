"""pass@k against its definition, counted out."""

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis.strategies import data, integers

from workbench.errors import UsageError
from workbench.flows.quality_summary import of_task
from workbench.quality.pass_at_k import mean_pass_at_k, pass_at_k
from workbench.quality.rows import Row


@given(data=data(), samples=integers(1, 9))
def test_it_is_the_average_over_all_sets_of_k(data, samples: int) -> None:  # type: ignore[no-untyped-def]
    passed, k = data.draw(integers(0, samples)), data.draw(integers(1, samples))
    answers = [n < passed for n in range(samples)]
    sets = [any(chosen) for chosen in combinations(answers, k)]
    assert pass_at_k(samples, passed, k) == Fraction(sum(sets), len(sets))


def test_it_is_exact_where_floats_are_not() -> None:
    assert pass_at_k(10_000, 1, 1) == Fraction(1, 10_000)
    assert pass_at_k(200, 3, 100) == 1 - Fraction(100 * 99 * 98, 200 * 199 * 198)
    assert mean_pass_at_k([(1, 1), (2, 1), (4, 0)], 1) == Fraction(1, 2)


@pytest.mark.parametrize(("samples", "passed", "k", "said"), [
    (2, 3, 1, "3 passed of 2"), (5, -1, 1, "-1 passed"), (5, 1, 6, "draw more samples"), (5, 1, 0, "k from 1"),
])
def test_what_has_no_answer_is_refused(samples: int, passed: int, k: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        pass_at_k(samples, passed, k)
    with pytest.raises(UsageError, match="no task"):
        mean_pass_at_k([], 1)


def test_code_that_was_drawn_several_times_is_told_by_k() -> None:
    """2 of 3 and 0 of 2 passed: 2 can be drawn of each, and of the first two of three hold a passed one always."""
    verdicts = {"a": ["passed", "failed", "passed"], "b": ["failed", "timed out"]}
    rows = [Row("t", item, repeat=repeat, outcome="ok", verdict=verdict, correct=verdict == "passed",
                score=float(verdict == "passed"))
            for item, said in verdicts.items() for repeat, verdict in enumerate(said)]
    told = of_task([*rows, Row("t", "b", repeat=2, outcome="failed", error="HTTP 500")])
    assert list(told["pass_at"]) == ["2"]
    assert (told["pass_at"]["2"]["mean"], told["pass_at"]["2"]["n"], told["score"]["mean"]) == (0.5, 2, 0.4)
    assert "pass_at" not in of_task(rows[:1]), "one answer each: the score says it"
