"""The business month by month by hand and as laws; what is uncertain, seeded; margins exact; the workbook's cells."""

import csv
import json
from dataclasses import fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from sims.plane.scenario import PlaneCase
from workbench.cli.main import main
from workbench.config import parse, read_text
from workbench.economics.business import Inputs, Month, break_even_users, months, npv, outcome
from workbench.economics.business_spec import BusinessSpec
from workbench.economics.margins import margins
from workbench.economics.sensitivity import Uncertain, draws, monte_carlo, tornado
from workbench.economics.sheet_columns import COLUMNS
from workbench.economics.spreadsheet import harmless
from workbench.errors import ConfigError, UsageError
from workbench.flows.business import business, business_file
from workbench.paths import data
from workbench.runlog.table import write

PLAIN = Inputs(
    start_users=1000, new_users_per_month=0, growth_frac=0, churn_frac=0, peak_to_mean=2, subscription_usd_per_user=10,
    usage_usd_per_user=0, requests_per_user=2628, capacity_rps=1.0, spare_machines=1, owned_most=0, usd_per_hour=1,
    rented_hours_frac=1, server_usd=36_000, power_kw=10, usd_per_kwh=0.1, pue=1.5, idle_power_frac=0.3,
    colocation_usd_per_kw_month=100, maintenance_frac_per_year=0.12, life_months=36, residual_frac=0.25,
    staff_usd_per_month=1000, support_usd_per_user=0.5, payment_fee_frac=0.1, capital_rate_per_year=0.0,
)
SMALL = st.builds(
    PLAIN.but, start_users=st.floats(0, 1e5), new_users_per_month=st.floats(0, 1e4), growth_frac=st.floats(-0.1, 0.1),
    churn_frac=st.floats(0, 1), peak_to_mean=st.floats(1, 10), owned_most=st.sampled_from([0.0, 1.0, 1e9]),
    capacity_rps=st.floats(0.1, 100), capital_rate_per_year=st.floats(0, 0.5), residual_frac=st.floats(0, 1))


def test_a_rented_month_by_hand() -> None:
    """A thousand users ask once a second together, twice that at the peak: two machines and a spare at 730 USD each."""
    line = months(PLAIN, 1)[0]
    assert (line.users, line.revenue_usd, line.peak_rps, line.machines, line.owned, line.rented) == (
        1000, 10_000, 2.0, 3, 0, 3)
    assert line.rent_usd == 3 * 730
    assert line.variable_usd == 1000 + 500
    assert line.cash_usd == 10_000 - 2190 - 1500 - 1000
    assert line.gross_profit_usd == 10_000 - 2190 - 1500


def test_an_owned_month_by_hand() -> None:
    """Three machines of 36,000: bought in the first month, sold in the last at 36,000 x (1 - 0.75 x 2 / 36)."""
    first, last = months(PLAIN.but(owned_most=1e9), 2)
    assert first.capex_usd == 108_000
    assert last.capex_usd == 0
    assert first.power_usd == pytest.approx(3 * 10 * (0.3 + 0.7 / 3) * 1.5 * 730 * 0.1)
    assert first.housing_usd == pytest.approx(3 * (10 * 100 + 360))
    assert first.depreciation_usd == pytest.approx(3 * 36_000 * 0.75 / 36)
    running = first.power_usd + first.housing_usd + 1500 + 1000
    assert first.cash_usd == pytest.approx(10_000 - 108_000 - running)
    sold = 3 * 36_000 * (1 - 0.75 * 2 / 36)
    assert last.cash_usd == pytest.approx(10_000 - last.power_usd - last.housing_usd - 1500 - 1000 + sold)


@given(SMALL, st.integers(1, 36))
def test_cash_is_what_came_less_what_went(given_: Inputs, n: int) -> None:
    lines = months(given_, n)
    assert lines[-1].cumulative_usd == pytest.approx(sum(line.cash_usd for line in lines))
    assert all(line.owned + line.rented >= line.machines for line in lines)
    assert all(b.owned >= a.owned for a, b in pairwise(lines))
    assert sum(line.capex_usd for line in lines) == pytest.approx(lines[-1].owned * given_.server_usd)
    if given_.capital_rate_per_year == 0:
        assert npv(given_, n) == pytest.approx(lines[-1].cumulative_usd)
    done = outcome(lines)
    if done.payback_month is not None:
        assert all(line.cumulative_usd >= 0 for line in lines[done.payback_month - 1:])
    assert done.invested_usd >= 0


def test_where_it_breaks_even_nothing_is_left() -> None:
    users = break_even_users(PLAIN, 24)
    assert users is not None
    at = npv(PLAIN.but(start_users=users, new_users_per_month=0.0), 24)
    less = npv(PLAIN.but(start_users=users * 0.999, new_users_per_month=0.0), 24)
    assert less < 0 <= at + 1e-6
    assert break_even_users(PLAIN.but(payment_fee_frac=1.0), 24) is None


def test_a_triangle_by_hand() -> None:
    one = Uncertain("x", 0.0, 1.0, 4.0)
    assert one.at(np.array([0.0, 0.25, 1.0])).tolist() == [0.0, 1.0, 4.0]
    assert one.at(np.array([0.0625]))[0] == pytest.approx(0.5)  # x^2 / 4 below the mode


def test_draws_go_together_as_asked_and_come_again_with_the_seed() -> None:
    inputs = [Uncertain("a", 0, 0.5, 1), Uncertain("b", -1, 0, 1), Uncertain("c", 0, 0, 1)]
    found = draws(inputs, {("a", "b"): -0.8}, 4000, 7)
    assert np.corrcoef(found[:, 0], found[:, 1])[0, 1] == pytest.approx(-0.8, abs=0.03)
    assert abs(np.corrcoef(found[:, 0], found[:, 2])[0, 1]) < 0.05
    assert (found == draws(inputs, {("a", "b"): -0.8}, 4000, 7)).all()
    assert (found != draws(inputs, {("a", "b"): -0.8}, 4000, 8)).any()
    for i, one in enumerate(inputs):
        assert found[:, i].mean() == pytest.approx((one.low + one.mode + one.high) / 3, abs=0.02)
    with pytest.raises(UsageError, match="contradict"):
        draws(inputs, {("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): -0.9}, 100, 1)


def test_monte_carlo_and_tornado_of_a_sum_by_hand() -> None:
    inputs = [Uncertain("a", -1, 0, 1), Uncertain("b", -3, 0, 3)]
    spread = monte_carlo(inputs, {}, lambda x: x["a"] + x["b"], 4000, 1)
    assert spread.mean == pytest.approx(0, abs=4 * spread.standard_error)
    assert spread.loss_frac == pytest.approx(0.5, abs=0.04)
    assert spread.p10 < spread.p50 < spread.p90
    bars = tornado(inputs, lambda x: sum(x.values()))
    assert [(bar.name, bar.at_low, bar.at_high) for bar in bars] == [("b", -3, 3), ("a", -1, 1)]


LEDGER = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**15), st.integers(0, 10**15)), max_size=40)


@given(LEDGER)
def test_margins_are_exact(rows: list[tuple[str, int, int]]) -> None:
    found = margins(rows)
    assert sum(one.gross_pusd for one in found) == sum(price - cost for _, price, cost in rows)
    assert sum(one.requests for one in found) == len(rows)
    assert [one.gross_pusd for one in found] == sorted(one.gross_pusd for one in found)
    for one in found:
        if one.price_pusd:
            assert one.gross_frac == Fraction(one.price_pusd - one.cost_pusd, one.price_pusd)


def example() -> str:
    return read_text(data("examples") / "business.toml").replace("draws = 2000 ", "draws = 100 ")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("business")
    text = example().replace('name = "hybrid, one 8x H100 owned"', 'name = "=1+1"')
    (folder / "business.toml").write_text(text, encoding="utf-8")
    business_file(folder / "business.toml", folder / "out")
    return folder


def test_the_columns_are_the_model_s() -> None:
    assert [column.key for column in COLUMNS] == [field.name for field in fields(Month)]


def test_the_workbook_is_live_and_its_text_is_text(written: Path) -> None:
    book = load_workbook(written / "out" / "business.xlsx")
    assert book.sheetnames[:2] == ["Inputs", "Summary"]
    rest = book.sheetnames[2:]
    assert [int(name.split()[0]) for name in rest] == list(range(1, len(rest) + 1))
    assert [name.partition(" ")[2] for name in rest[5:7]] == ["Tiers", "Tornado owned 8x H100"]
    head = [cell.value for cell in book["Inputs"][1]]
    assert head[5] == "=1+1"
    assert book["Inputs"]["F1"].data_type == "s"
    sheet = book[book.sheetnames[2]]
    assert sheet["C3"].value == "=C2*(1-Inputs!$B$6)+B3"
    numbers = [cell for row in sheet.iter_rows(min_row=2, max_row=37) for cell in row]
    assert all(cell.data_type == "f" for cell in numbers)  # nothing that could be live is a number
    assert len(numbers) == 36 * len(COLUMNS)


def test_csv_has_no_formulas(written: Path) -> None:
    with (written / "out" / "months.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 5 * 36
    assert {row["option"] for row in rows} >= {"'=1+1", "owned 8x H100"}
    assert [harmless(x) for x in ("=a", "+a", "-a", "@a", "\t=a", "a=", -1.5)] == [
        "'=a", "'+a", "'-a", "'@a", "'\t=a", "a=", -1.5]


def test_the_answer_has_a_number_and_a_chance(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads((written / "out" / "business.json").read_text())
    best = max(found["options"], key=lambda row: row["outcome"]["npv_usd"])
    assert found["choice"] == best["name"]
    assert found["answer"].startswith(f"{best['name']} is worth most: {best['outcome']['npv_usd']:,.0f} USD")
    assert {row["kind"] for row in found["options"]} == {"owned", "rented", "hybrid"}
    assert found["prices"]["8x-h100-server"]["stale"] is True
    assert sum(one["revenue_usd"] for one in found["tiers"]) == pytest.approx(
        sum(line["revenue_usd"] for line in best["months"]))
    main(["business", str(written / "business.toml")])
    assert "is worth most" in capsys.readouterr().out


def test_margins_of_a_run_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = PlaneCase.load(data("scenarios") / "plane" / "price_change.toml")
    done = case.run(1, requests=60)
    write(done.log, tmp_path / "log.parquet")
    main(["business", "--margins", str(tmp_path / "log.parquet"), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    for by in ("tenant", "tier"):
        assert sum(row["price_pusd"] for row in found[by]) == sum(done.log.table.column("price_pusd").to_pylist())
        assert sum(row["cost_pusd"] for row in found[by]) == sum(done.log.table.column("cost_pusd").to_pylist())


@pytest.mark.parametrize(("old", "new", "message"), [
    ("share_frac = 0.6", "share_frac = 0.5", "add up to 1"), ("months = 36", "months = 48", "replacements"),
    ('name = "peak_to_mean"', 'name = "peak"', "is no input"), ("low = 0.03", "low = 0.2", "is not below"),
    ("low = 0.03", "low = 0.06", "not between"), ("correlation = -0.5", "correlation = -2", "greater than"),
    ('server = "8x-h100-server"', 'server = "8x-h200-server"', "did you mean"),
    ("capacity_rps = 24.4", "", "capacity_rps"),
    ('machine = "lambda-8x-h100-sxm"', 'machine = "lambda-8x-h100-smx"', "did you mean 'lambda-8x-h100-sxm'"),
])
def test_what_is_wrong_is_one_line(old: str, new: str, message: str) -> None:
    text = example()
    assert old in text
    with pytest.raises((UsageError, ConfigError), match=message):
        business(parse(BusinessSpec, text.replace(old, new, 1), "business.toml"))
