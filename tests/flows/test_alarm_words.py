"""What an alarm and an invoice say to people: units, times and prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.invoice import Invoice, Line
from workbench.control.money.periods import DAY_NS, NS, Period, moment
from workbench.control.money.rates import rate_from
from workbench.control.plane.events import Alarm
from workbench.flows.journal_words import alarm, decision
from workbench.flows.plane_tables import happened

NOVEMBER_NS = 1_793_491_200 * NS  # 2026-11-01 00:00 UTC


@pytest.mark.parametrize(("unit", "value", "limit", "says"), [
    ("milli_rate", 5_427, 5_000, "5.4x of 5x"), ("milli_rate", 5_003, 5_000, "5.003x of 5x"),
    ("milli_rate", 14_400_000, 14_400, "14,400.0x of 14.4x"),
    ("milli_spread", 11_190, 10_000, "11.2 spreads of 10 spreads"),
    ("pusd", 61_800_000_000, 60_000_000_000, "USD 0.0618 of 0.0600"),
    ("pusd", 60_000_000_001, 60_000_000_000, "USD 0.060000000001 of 0.060000000000"),
    ("ppm", 31_000, 10_000, "3.1 % of 1 %"), ("us", 312_400, 250_000, "312.4 ms of 250 ms"),
    ("", 1_234, 1_000, "1,234 of 1,000"), ("", 17, 0, "17"), ("pusd", 17 * 10**12, 0, "USD 17.0000"),
])
def test_an_alarm_has_the_unit_of_its_detector_wherever_it_is_told(
    unit: str, value: int, limit: int, says: str
) -> None:
    text = f"page: b: r, {says}"
    one = Alarm("b: r", "page", value, limit, unit)
    assert alarm(*one) == decision(one) == text
    assert happened([{"at_ns": 5, "kind": "Alarm", **one._asdict()}]) == [(5, text)]


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(["milli_rate", "milli_spread", "ppm", "us", ""]))
def test_what_exceeds_its_limit_never_looks_equal(limit: int, more: int, unit: str) -> None:
    first, second = alarm("b", "page", limit + more, limit, unit).split(", ", 1)[1].split(" of ")
    values = [float("".join(c for c in text if c.isdigit() or c == ".")) for text in (first, second)]
    assert values[0] > values[1]


@pytest.mark.parametrize(("at_ns", "utc_ns", "says"), [
    (0, 0, "0 s"), (30 * NS, 0, "30 s"), (1, 0, "0.000000001 s"), (-NS, 0, "-1 s"), (3 * DAY_NS, 0, "day 3"),
    (0, NOVEMBER_NS, "2026-11-01 UTC"), (3600 * NS, NOVEMBER_NS, "2026-11-01 01:00 UTC"),
    (DAY_NS + NS // 2, NOVEMBER_NS, "2026-11-02 00:00:00.5 UTC"), (61 * NS, NOVEMBER_NS, "2026-11-01 00:01:01 UTC"),
])
def test_a_moment_is_a_date_where_it_is_known(at_ns: int, utc_ns: int, says: str) -> None:
    assert moment(at_ns, utc_ns) == says


@pytest.mark.parametrize(("facts", "says"), [
    ({"flat": 150_000}, "0.15 USD/Mtok"), ({"flat": 1_234_567}, "1.234567 USD/Mtok"), ({"flat": 0}, "0.00 USD/Mtok"),
    ({"package": {"size_tok": 1_000_000, "micro_usd": 500_000}}, "0.50 USD per 1,000,000 tok"),
    ({"graduated": [{"up_to_tok": 1000, "micro_usd_per_mtok": 2_000_000}, {"micro_usd_per_mtok": 1_000_000}]},
     "2.00 to 1,000 tok, then 1.00 USD/Mtok"),
    ({"volume": [{"micro_usd_per_mtok": 1_000_000}]}, "1.00 USD/Mtok, by volume"),
])
def test_a_unit_price_is_told_exactly(facts: dict[str, object], says: str) -> None:
    assert rate_from("p", facts).words() == says


def test_an_invoice_has_dates_and_long_lines_keep_their_columns() -> None:
    lines = (Line("usage", "m" * 60, 10, 1, 5, "0.15 USD/Mtok, until 30 s"), Line("usage", "m input", 1, 1, 2))
    text = Invoice("INV-1", "t", Period(0, 30 * DAY_NS), 0, 0, lines, 7, NOVEMBER_NS).text()
    head, *rows = text.splitlines()
    assert head == "INV-1  t  2026-11-01 UTC to 2026-12-01 UTC"
    assert rows[0].endswith("  0.15 USD/Mtok, until 30 s")
    assert len({row.index(amount) for row, amount in zip(rows, ("0.05", "0.02", "0.07"), strict=True)}) == 1
    assert " ns" not in text
