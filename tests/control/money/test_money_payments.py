"""A provider's events: the same books in any order and any number of times."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.amounts import PUSD_PER_CENT
from workbench.control.money.errors import ClockWentBack, Conflict
from workbench.control.money.payments import STATUSES, Payments, ProviderEvent, RefundOrder

PAYMENTS = {"p1": ("a", "INV-1"), "p2": ("a", "INV-1"), "p3": ("b", "INV-2")}


def payment(event_id: str, at_ns: int, status: str = "succeeded", cents: int = 500, name: str = "p1") -> ProviderEvent:
    return ProviderEvent(event_id, at_ns, "payment", name, status, cents, *PAYMENTS[name])


def about(event_id: str, at_ns: int, kind: str, status: str, cents: int, name: str = "x1", of: str = "p1",
          order: str = "") -> ProviderEvent:
    return ProviderEvent(event_id, at_ns, kind, name, status, cents, payment=of, order=order)


@st.composite
def histories(draw: st.DrawFn) -> list[ProviderEvent]:
    """Any states of a few objects at a few seconds: many ties."""
    events = list[ProviderEvent]()
    for i in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(sorted(STATUSES)))
        status, at_ns = draw(st.sampled_from(STATUSES[kind])), draw(st.integers(0, 3))
        cents = draw(st.integers(1, 900))
        if kind == "payment":
            events.append(payment(f"e{i}", at_ns, status, cents, draw(st.sampled_from(sorted(PAYMENTS)))))
        else:
            events.append(about(f"e{i}", at_ns, kind, status, cents, draw(st.sampled_from(["x1", "x2"]))))
    return events


def books(events: list[ProviderEvent]) -> tuple[object, ...]:
    payments = Payments()
    for i, event in enumerate(events):
        payments.on(i, event)
        assert sum(payments.ledger.balances().values()) == 0
    return (payments.ledger.balances(), payments.states(),
            [(payments.paid_cents(one), payments.disputed(one)) for one in ("INV-1", "INV-2")],
            [payments.refundable_cents(one) for one in PAYMENTS])


@given(histories(), st.randoms(), st.integers(0, 12))
def test_webhooks_give_the_same_books_in_any_order_and_any_number_of_times(
    events: list[ProviderEvent], order: Random, again: int,
) -> None:
    expected = books(events)
    told = events + [event for event in events for _ in range(order.randrange(3))]
    order.shuffle(told)
    assert books(told) == expected


@given(histories())
def test_the_books_are_those_of_the_last_states(events: list[ProviderEvent]) -> None:
    """Against a look at every object's history."""
    balances = dict[str, int]()

    def move(to: str, cents: int, source: str) -> None:
        for account, sign in ((to, 1), (source, -1)):
            balances[account] = balances.get(account, 0) + sign * cents * PUSD_PER_CENT

    for kind, name in sorted({(one.kind, one.object_id) for one in events}):
        history = [one for one in events if (one.kind, one.object_id) == (kind, name)]
        last = sorted(history, key=lambda one: (one.at_ns, STATUSES[kind].index(one.status), one.event_id))[-1]
        if (kind, last.status) == ("payment", "succeeded"):
            move("cash", last.cents, f"receivable:{last.tenant}")
        elif (kind, last.status) == ("refund", "succeeded"):
            move("refunds", last.cents, "cash")
        elif kind == "dispute" and last.status != "won":
            move("disputed" if last.status == "open" else "disputes_lost", last.cents, "cash")
    assert books(events)[0] == {account: pusd for account, pusd in sorted(balances.items()) if pusd}


def test_a_dispute_takes_the_money_and_gives_it_back_if_won() -> None:
    payments = Payments()
    payments.on(1, payment("e1", 1))
    payments.on(2, about("e2", 2, "dispute", "open", 500))
    assert (payments.paid_cents("INV-1"), payments.disputed("INV-1")) == (0, True)
    assert payments.ledger.balance("disputed") == 500 * PUSD_PER_CENT
    payments.on(3, about("e3", 3, "dispute", "won", 500))
    assert (payments.paid_cents("INV-1"), payments.disputed("INV-1")) == (500, False)
    assert payments.ledger.balances() == {"cash": 500 * PUSD_PER_CENT, "receivable:a": -500 * PUSD_PER_CENT}
    payments.on(4, about("e4", 4, "dispute", "lost", 200, "x2"))
    assert payments.paid_cents("INV-1") == 300
    assert payments.ledger.balance("disputes_lost") == 200 * PUSD_PER_CENT


def test_refunds_never_exceed_what_was_paid() -> None:
    payments = Payments()
    payments.on(1, payment("e1", 1))
    first = RefundOrder("r1", "p1", 300)
    assert payments.refund(2, first) == payments.refund(2, first) == first
    with pytest.raises(ValueError, match=r"refund 'r2': 2\.01 USD is more than the 2\.00 left of payment p1"):
        payments.refund(2, RefundOrder("r2", "p1", 201))
    with pytest.raises(Conflict, match="refund 'r1': asked for before"):
        payments.refund(2, RefundOrder("r1", "p1", 299))
    assert payments.ledger.balance("refunds") == 0  # money moves when the provider says so
    payments.on(3, about("e2", 3, "refund", "succeeded", 300, order="r1"))
    assert (payments.refundable_cents("p1"), payments.ledger.balance("refunds")) == (200, 300 * PUSD_PER_CENT)
    payments.on(4, about("e3", 4, "refund", "failed", 300, order="r1"))
    assert (payments.refundable_cents("p1"), payments.ledger.balance("refunds")) == (500, 0)


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    payments = Payments()
    payments.on(5, payment("e1", 1))
    before = payments.ledger.balances(), payments.states()
    bad = about("e2", 1, "refund", "succeeded", 5)
    for event, now_ns, error, says in (
        (payment("e1", 2), 5, Conflict, "event 'e1': told before as"),
        (payment("e2", 1), 4, ClockWentBack, "the clock went back from 5 to 4 ns"),
        (bad._replace(status="done"), 5, ValueError, "event 'e2': refund 'done' is unknown"),
        (bad._replace(kind="gift"), 5, ValueError, "gift 'succeeded' is unknown"),
        (bad._replace(cents=0), 5, ValueError, "cents: 0 is less than 1"),
        (bad._replace(payment=""), 5, ValueError, "a payment names its tenant, a refund its payment"),
    ):
        with pytest.raises(error, match=says):
            payments.on(now_ns, event)
        assert (payments.ledger.balances(), payments.states()) == before
    assert payments.on(5, bad) is True  # e2 was not used up
