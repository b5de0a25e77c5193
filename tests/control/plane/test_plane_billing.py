"""Months of usage through the plane: every period gets its invoice, and the ledger knows every pico-dollar."""

from typing import Any

import pytest

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, Charge, Left
from workbench.control.plane.plane import ControlPlane

DAY = 86_400 * 10**9
PUSD = 10**12  # of a dollar
JANUARY_15_2026_NS = 1_768_435_200 * 10**9
FACTS: dict[str, Any] = {
    "calendar": "months", "utc_ns": JANUARY_15_2026_NS,
    "plans": {"pro": {"fee_pusd": 31 * PUSD, "minimum_pusd": 100 * PUSD}},
    "prices": [  # in mid-month output becomes cheaper, and plan "pro" has a price of its own
        {"model": "*", "kind": "input", "flat": 0},
        {"model": "*", "kind": "output", "flat": 2 * 10**6, "until_ns": 10 * DAY},
        {"model": "*", "kind": "output", "flat": 10**6, "from_ns": 10 * DAY},
        {"model": "*", "kind": "output", "flat": 5 * 10**5, "plan": "pro"},
    ],
    "subscriptions": [{"tenant": "acme", "plan": "pro"}],
    "credits": [{"key": "hello", "tenant": "free", "pusd": 3 * PUSD}],
}


def used(plane: ControlPlane, now_ns: int, name: str, tenant: str, output_tok: int) -> int:
    plane.on(now_ns, Arrived(name, tenant, prompt_tok=1))
    [charge] = [one for one in plane.on(now_ns, Left(name, 1, "ok", 1, 0, output_tok)) if isinstance(one, Charge)]
    plane.check()
    return charge.price_pusd


def test_periods_close_as_time_goes_by_and_prices_change_in_mid_month() -> None:
    plane = plane_of({"billing": FACTS})
    assert used(plane, 0, "a", "free", 10**6) == 2 * PUSD
    assert used(plane, 10 * DAY - 1, "b", "free", 10**6) == 2 * PUSD
    assert used(plane, 10 * DAY, "c", "free", 10**6) == 1 * PUSD
    assert used(plane, 12 * DAY, "d", "acme", 10**6) == PUSD // 2
    billing = plane.desk.billing
    assert billing is not None
    assert not billing.invoices
    assert used(plane, 18 * DAY, "e", "free", 10**6) == 1 * PUSD  # the first of February, 2026, is day 17
    acme, free = billing.invoices.values()
    assert (acme.tenant, acme.total_cents) == ("acme", 17 * 100 + 100 * 100 * 17 // 31 + 1), "fee and minimum, prorated"
    assert (free.tenant, free.total_cents) == ("free", 500 - 300), "less the credit"
    issued = plane.close(20 * DAY)
    assert [one.tenant for one in issued] == ["acme", "free"]
    assert [one.total_cents for one in issued] == [(31 + 100) * 100, 100], "the whole of February"
    assert len(billing.invoices) == 4
    plane.check()
    assert sum(billing.ledger.balances().values()) == 0


def test_after_the_close_nothing_can_happen_before_its_end() -> None:
    plane = plane_of({"billing": {"calendar": {"days": 2}, "prices": FACTS["prices"][:2]}})
    used(plane, 5, "a", "x", 9)
    [invoice] = plane.close(10)
    assert tuple(invoice.period) == (0, 2 * DAY)
    with pytest.raises(ValueError, match="the clock went back"):
        plane.on(11, Arrived("b"))
    assert used(plane, 2 * DAY, "c", "x", 1) == 2 * 10**6
    assert plane_of({}).close(5) == ()


@pytest.mark.parametrize(("facts", "says"), [
    ({"price": []}, "control.billing.price: unknown; did you mean 'prices'?"),
    ({"calendar": "weeks"}, "billing.calendar: 'weeks' is unknown; known: 'months', 'days'"),
    ({"calendar": {"days": 0}}, "billing.calendar.days: 0 is less than 1"),
    ({"calendar": "days", "utc_ns": 5}, "billing.utc_ns: only calendar 'months' asks for it"),
    ({"plans": {"x": {"fee": 5}}}, "billing.plans.x: got an unexpected keyword argument 'fee'; given: fee"),
    ({"plans": {"x": {"fee_pusd": -5}}}, "plans.x.fee_pusd: -5 is less than 0"),
    ({"subscriptions": [{"tenant": "a"}]}, "billing.subscriptions.0: tenant and plan are needed"),
    ({"subscriptions": [{"tenant": "a", "plan": "por"}], "plans": {"pro": {}}}, "did you mean 'pro'?"),
    ({"credits": [{"key": "k", "tenant": "a", "pusd": 1}, {"key": "k", "tenant": "a", "pusd": 2}]},
     "credit 'k': granted before as"),
    ({"prices": [{"model": "m", "kind": "input", "flat": 1}] * 2}, "overlaps"),
])
def test_what_is_wrong_is_said_in_one_line(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        plane_of({"billing": facts})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
