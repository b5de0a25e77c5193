"""Chapter 1: bills by hand."""

from datetime import date

import pytest

from workbench.chapters import ch01
from workbench.chapters.ch01 import Compared
from workbench.economics.unit_cost import Load
from workbench.hardware.prices import ApiPrice, MachinePrice
from workbench.stats.intervals import Interval

TODAY = date(2026, 11, 30)
API = ApiPrice("api", 1.0, 4.0, TODAY, "retrieved", "a test")
MACHINE = MachinePrice("machine", 2.0, TODAY, "retrieved", "a test")
ONE = Interval(1.0, 0.9, 1.1, 3)
FOUND = Compared("x", API, MACHINE, Load(1.0, 1000.0, 250.0), ONE, 1.0, ONE)


def test_an_api_charges_what_is_asked_and_answered() -> None:
    """1,000 tokens at 1 and 250 at 4 USD per million: 0.002 USD a request."""
    assert FOUND.api_usd_per_day(500) == pytest.approx(1.0)


def test_machines_are_paid_whole_and_all_day() -> None:
    """One completes 86,400 requests a day, for 48 USD."""
    assert FOUND.own_usd_per_day(1) == FOUND.own_usd_per_day(86_400) == 48.0
    assert FOUND.own_usd_per_day(86_401) == 96.0


def test_no_verdict_where_the_interval_holds_one() -> None:
    busy = [Interval(2.0, 1.5, 2.5, 3), Interval(0.5, 0.4, 0.6, 3), Interval(1.0, 0.9, 2.0, 3)]
    said = [ch01._verdict(row) for row in busy]
    assert said == ["the API is cheaper at any volume", "one's own, if it is kept that busy", "too close to tell"]
