"""Usage, invoice, reminder, payment, dispute, refund: one ledger, and everybody's books agree at the end."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.amounts import PUSD_PER_CENT
from workbench.control.money.billing import Billing
from workbench.control.money.dunning import Dunning, Step
from workbench.control.money.invoice import Invoice
from workbench.control.money.ledger import Ledger
from workbench.control.money.payments import Payments, ProviderEvent
from workbench.control.money.periods import Every
from workbench.control.money.price_book import ANY, PriceBook, Version
from workbench.control.money.rates import Flat
from workbench.control.money.usage import Usage

NUMBER = "INV-000001"
TOLD = [
    ProviderEvent("e1", 105, "payment", "pi_1", "failed", 600, "t", NUMBER),
    ProviderEvent("e2", 112, "payment", "pi_1", "succeeded", 600, "t", NUMBER),
    ProviderEvent("e3", 120, "dispute", "dp_1", "open", 600, payment="pi_1"),
    ProviderEvent("e4", 140, "dispute", "dp_1", "won", 600, payment="pi_1"),
    ProviderEvent("e5", 150, "refund", "re_1", "succeeded", 50, payment="pi_1"),
]


@given(st.randoms(), st.integers(0, len(TOLD)))
def test_a_month_ends_with_the_same_books_whenever_the_provider_tells_it(order: Random, before: int) -> None:
    """Some events even come before the invoice was issued."""
    ledger = Ledger()
    engine = Billing(PriceBook([Version(ANY, kind, Flat(10**10)) for kind in ("input", "output")]),
                     calendar=Every(100), terms_ns=5, ledger=ledger)
    payments, told = Payments(ledger), TOLD * 2
    order.shuffle(told)
    engine.record(10, Usage("u", 10, "t", "m", 500, 100, cost_pusd=77))
    for event in told[:before]:
        payments.on(99, event)
    [invoice] = engine.on_time(100)
    assert (invoice.number, invoice.total_cents, invoice.due_ns) == (NUMBER, 600, 105)
    for event in told[before:]:
        payments.on(200, event)
    assert payments.paid_cents(NUMBER) == engine.owed_cents(NUMBER) == 600
    assert ledger.balances() == {
        "cash": 550 * PUSD_PER_CENT, "cost:m": 77, "fleet": -77, "refunds": 50 * PUSD_PER_CENT,
        "revenue:m": -600 * PUSD_PER_CENT}


def test_a_dispute_stops_the_reminders_and_a_payment_ends_them() -> None:
    payments, dunning = Payments(), Dunning(((0, "charge"), (10, "remind"), (20, "suspend")))
    invoice = Invoice(NUMBER, "t", Every(100).period(0), 100, 105, (), 600)
    dunning.owed(100, invoice.number, invoice.tenant, invoice.due_ns)
    steps, last = list[Step](), 0
    for event in TOLD:
        steps += dunning.on_time(event.at_ns)
        payments.on(event.at_ns, event)
        if payments.disputed(NUMBER):
            dunning.owed(event.at_ns, NUMBER, "t", event.at_ns)
            dunning.stop(event.at_ns, NUMBER)
        elif payments.paid_cents(NUMBER) >= invoice.total_cents:
            dunning.paid(event.at_ns, NUMBER)
        last = event.at_ns
    assert [(one.at_ns, one.action) for one in steps] == [(105, "charge")]
    assert dunning.on_time(last + 1000) == []
