"""Owned, rented and mixed machines by hand and as laws; tables whose rows are dated and sane."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.economics.owned import Owned, annuity, month, without_interest
from workbench.economics.rented import Spot, best_mix, mixed, worth_it_below
from workbench.economics.token_split import TokenWork, naive_usd_per_million, split
from workbench.errors import UsageError
from workbench.hardware import owning
from workbench.paths import datasets

NEEDED = st.lists(st.integers(0, 20), min_size=1, max_size=24)
USD = st.floats(0.01, 100)


def test_an_annuity_by_hand() -> None:
    """1,000 USD at 1 % a month over 12 months: 88.85 a month (any table of capital recovery)."""
    assert annuity(1000, 0, 0.01, 12) == pytest.approx(88.8488, abs=1e-4)
    assert annuity(1000, 400, 0.0, 12) == 50


@given(price=st.floats(1, 1e6), residual=st.floats(0, 1), rate=st.floats(1e-4, 0.05), months=st.integers(1, 120))
def test_payments_are_worth_what_was_paid(price: float, residual: float, rate: float, months: int) -> None:
    paid = annuity(price, price * residual, rate, months)
    worth = sum(paid / (1 + rate) ** m for m in range(1, months + 1)) + price * residual / (1 + rate) ** months
    assert worth == pytest.approx(price, rel=1e-9)


def test_a_month_by_hand() -> None:
    """Two machines at half load: 10 kW x (0.3 + 0.7 / 2) x 1.5 x 730 h each, 0.1 USD a kWh."""
    owned = Owned(server_usd=36_000, life_months=36, capital_rate_per_year=0.0, power_kw=10, pue=1.5, usd_per_kwh=0.1,
                  colocation_usd_per_kw_month=100, staff_usd_per_month=50, maintenance_frac_per_year=0.12,
                  kg_co2_per_kwh=0.4)
    found = month(owned, 2, 0.5)
    assert found.kwh == pytest.approx(2 * 10 * 0.65 * 1.5 * 730)
    assert (found.capital_usd, found.colocation_usd, found.staff_usd) == (2000, 2000, 100)
    assert found.maintenance_usd == pytest.approx(2 * 360)
    assert found.usd == pytest.approx(2000 + found.kwh * 0.1 + 2000 + 100 + 720)
    assert found.kg_co2 == pytest.approx(found.kwh * 0.4)


@given(busy=st.floats(0, 0.9), rate=st.floats(0.001, 0.3))
def test_work_and_interest_cost_money(busy: float, rate: float) -> None:
    owned = Owned(server_usd=1000, power_kw=1, usd_per_kwh=0.1, capital_rate_per_year=rate)
    assert month(owned, 1, busy).usd < month(owned, 1, busy + 0.1).usd
    assert month(without_interest(owned), 1, busy).usd < month(owned, 1, busy).usd


def test_spot_by_hand() -> None:
    """An interruption every ten hours that takes one hour: a tenth of what is paid serves nobody."""
    spot = Spot(0.9, 0.1, 3600)
    assert spot.usd_per_served_hour == pytest.approx(1.0)
    assert worth_it_below(1.0, 0.9, 3600) == pytest.approx(0.1)
    with pytest.raises(UsageError, match="never serve"):
        _ = Spot(0.9, 2, 3600).usd_per_served_hour


@given(NEEDED, USD, USD)
def test_no_other_base_is_cheaper(needed: list[int], reserved: float, on_demand: float) -> None:
    best = best_mix(needed, reserved, on_demand)
    every = [mixed(needed, n, reserved, on_demand).usd_per_day for n in range(22)]
    assert best.usd_per_day == pytest.approx(min(every))
    if reserved >= on_demand:
        assert best.reserved == 0 or best.reserved <= min(needed)


@given(usd=USD, tok=st.tuples(*[st.floats(0, 1e9)] * 3), work=st.tuples(*[st.floats(0.001, 10)] * 3))
def test_the_parts_of_a_bill_are_the_bill(usd: float, tok: tuple[float, ...], work: tuple[float, ...]) -> None:
    found = split(usd, *tok, TokenWork(*work))
    parts = [(price or 0.0) * n / 1e6 for price, n in zip((found.input, found.cached, found.output), tok, strict=True)]
    assert sum(parts) == pytest.approx(usd if sum(tok) > 0 else 0.0)


@given(usd=USD, peak=st.floats(1, 1e5), low=st.floats(0.01, 0.9))
def test_cost_falls_with_utilisation_and_never_below_the_bound(usd: float, peak: float, low: float) -> None:
    bound = naive_usd_per_million(usd, peak, 1.0)
    assert naive_usd_per_million(usd, peak, low) > naive_usd_per_million(usd, peak, low + 0.05) > bound


def test_rows_are_dated_and_old_ones_are_flagged() -> None:
    bought, power, pue = owning.server("8x H100 server"), owning.electricity("us-ohio"), owning.facility("pue_average")
    assert bought.accelerator_n == 8
    assert pue.value > 1
    for row in (bought, power, pue):
        assert row.source
        assert row.is_stale(date(row.as_of.year + 2, 1, 1))
        assert not row.is_stale(row.as_of)
    with pytest.raises(UsageError, match="did you mean '8x-h100-server'"):
        owning.server("8x-h200-server")


@pytest.mark.parametrize(("old", "new", "message"), [
    ("317000", "0", "must be above 0"), ("317000", "-1", "above 0"), ("317000", "1e38", "above 0"),
    ("2024-08-22", "last year", "is no date"), (",USD,", ",EUR,", "must be one of USD"), ("317000", "nan", "finite"),
])
def test_a_bad_row_is_refused_by_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (datasets() / "prices" / "servers.csv").read_text()
    path = tmp_path / "servers.csv"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=message) as caught:
        owning.server("8x-h100-server", path)
    assert str(caught.value).startswith("servers.csv:2: ")


@pytest.mark.parametrize("change", [{"server_usd": 0}, {"pue": 0.9}, {"residual_frac": 1.1}, {"life_months": 0}])
def test_an_owned_machine_of_another_world_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="owned"):
        Owned(**{"server_usd": 1.0, **change})  # type: ignore[arg-type]
