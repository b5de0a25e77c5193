"""The formulas themselves, by values known from elsewhere and by how they hang together."""

import math

import pytest

from sims import theory


def test_erlang_by_published_tables() -> None:
    """Erlang B: 1 Erlang on 1, 2, 3 servers loses 1/2, 1/5, 1/16; 10 Erlang on 10 servers 0.2146 (any table)."""
    assert [theory.erlang_b(n, 1.0) for n in (0, 1, 2, 3)] == pytest.approx([1.0, 1 / 2, 1 / 5, 1 / 16])
    assert theory.erlang_b(10, 10.0) == pytest.approx(0.21458, abs=1e-5)
    assert theory.erlang_c(2, 1.0) == pytest.approx(1 / 3)


def test_formulas_meet_where_systems_do() -> None:
    assert theory.erlang_c(1, 0.7) == pytest.approx(0.7)
    assert theory.mmc_wait(1, 0.7, 1.0) == pytest.approx(theory.pollaczek_khinchine(0.7, 1.0, 2.0))
    assert theory.cobham([0.7], [1.0], [2.0]) == pytest.approx([theory.pollaczek_khinchine(0.7, 1.0, 2.0)])
    assert theory.mm1k_loss(1, 0.8) == pytest.approx(theory.erlang_b(1, 0.8))
    assert theory.mm1k_loss(4, 1.0) == pytest.approx(1 / 5)
    high, low = theory.cobham([0.3, 0.4], [1.0, 1.0], [2.0, 2.0])
    whole = theory.pollaczek_khinchine(0.7, 1.0, 2.0)
    assert 0.3 * high + 0.4 * low == pytest.approx(0.7 * whole), "Kleinrock's conservation law"


@pytest.mark.parametrize("load", [1.0, 1.5, -0.1, math.inf])
def test_no_steady_state_no_formula(load: float) -> None:
    with pytest.raises(ValueError, match="below 1"):
        theory.pollaczek_khinchine(load, 1.0, 2.0)
