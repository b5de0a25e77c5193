"""Prompt lengths learnt from a server's usage, on servers whose rule is known."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.bench.lengths import Curve, calibrate, obtained
from workbench.runlog.schema import Row


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(0, 30), st.lists(st.integers(50, 4000), min_size=1, max_size=6))
def test_a_straight_server_is_met_within_its_step(per_unit: int, constant: int, targets: list[int]) -> None:
    def probe(units: Sequence[int]) -> list[int | None]:
        return [constant + per_unit * unit for unit in units]

    found = calibrate(probe, targets)
    assert found is not None
    for tok in (min(targets), max(targets)):
        got = constant + per_unit * found.curve.units_for(tok)
        assert abs(got - tok) <= per_unit / 2 + 1
    if per_unit <= 2:
        assert found.miss_tok is not None
        assert found.miss_tok <= 1


def test_a_server_without_usage_cannot_be_learnt_from() -> None:
    assert calibrate(lambda units: [None] * len(units), [10]) is None


def test_a_server_that_counts_everything_alike_ends_all_the_same() -> None:
    found = calibrate(lambda units: [9] * len(units), [100])
    assert found is not None
    assert found.miss_tok is None or found.miss_tok > 1


@pytest.mark.parametrize(("tok", "units"), [(10, 5), (20, 10), (15, 8), (2, 1), (-5, 1), (40, 20)])
def test_curve(tok: int, units: int) -> None:
    assert Curve.of([(5, 10), (10, 20)]).units_for(tok) == units


def test_obtained_compares_row_by_row() -> None:
    rows = [
        Row(request_id="a", outcome="ok", asked_prompt_tok=10, prompt_tok=12, asked_output_tok=4, output_tok=4),
        Row(request_id="b", outcome="ok", asked_prompt_tok=10, prompt_tok=10, asked_output_tok=4, output_tok=None),
        Row(request_id="c", outcome="error", asked_prompt_tok=10, prompt_tok=99),
    ]
    found = obtained(rows)
    assert found["prompt_tok"] == {
        "n": 2, "asked_mean": 10.0, "mean": 11.0, "min": 10, "max": 12, "worst_miss": 2, "exact_frac": 0.5,
    }
    assert found["output_tok"]["n"] == 1
    assert obtained([])["prompt_tok"]["mean"] is None
