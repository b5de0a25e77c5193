"""Stripe's webhooks: nothing unsigned gets in, and what gets in makes the books."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from workbench.adapters.stripe_webhooks import BadWebhook, read
from workbench.control.money.amounts import PUSD_PER_CENT
from workbench.control.money.payments import Payments, ProviderEvent

SECRET, NOW_S = "of the tests, made up here", 1_790_000_000
NOW_NS = NOW_S * 10**9


@pytest.fixture(autouse=True)
def _stripe() -> None:
    pytest.importorskip("stripe", reason="the package stripe is not installed (pip install stripe)")


def signed(payload: bytes, at_s: int = NOW_S, secret: str = SECRET) -> str:
    """As docs.stripe.com/webhooks says ("Verify webhook signatures manually")."""
    return f"t={at_s},v1={hmac.new(secret.encode(), b'%d.%b' % (at_s, payload), hashlib.sha256).hexdigest()}"


def event(kind: str, thing: dict[str, Any], event_id: str = "evt_1", created_s: int = NOW_S - 5) -> bytes:
    about = {"currency": "usd", "id": "x", "metadata": {}, **thing}
    return json.dumps({"id": event_id, "object": "event", "created": created_s, "type": kind,
                       "data": {"object": about}}).encode()


PAID = event("payment_intent.succeeded", {
    "object": "payment_intent", "id": "pi_1", "status": "succeeded", "amount": 1300, "amount_received": 1250,
    "metadata": {"tenant": "acme", "invoice": "INV-000001"}})
REFUNDED = event("refund.updated", {"object": "refund", "id": "re_1", "status": "succeeded", "amount": 250,
                                    "payment_intent": "pi_1", "metadata": {"order": "r-1"}}, "evt_2")
DISPUTED = event("charge.dispute.created", {"object": "dispute", "id": "dp_1", "status": "needs_response",
                                            "amount": 1000, "payment_intent": None, "charge": "ch_1"}, "evt_3")


def test_events_make_the_books() -> None:
    payments = Payments()
    for payload in (DISPUTED, REFUNDED, PAID, PAID):
        found = read(payload, signed(payload), SECRET, NOW_NS)
        assert found is not None
        payments.on(NOW_NS, found)
    assert read(PAID, signed(PAID), SECRET, NOW_NS) == ProviderEvent(
        "evt_1", NOW_NS - 5 * 10**9, "payment", "pi_1", "succeeded", 1250, "acme", "INV-000001")
    assert payments.ledger.balances() == {
        "disputed": 1000 * PUSD_PER_CENT, "receivable:acme": -1250 * PUSD_PER_CENT, "refunds": 250 * PUSD_PER_CENT}
    assert payments.states() == {"dispute dp_1": "open", "payment pi_1": "succeeded", "refund re_1": "succeeded"}


@pytest.mark.parametrize(("payload", "header", "secret", "now_ns", "says"), [
    (PAID + b" ", signed(PAID), SECRET, NOW_NS, "the signature is not one of the secret"),
    (PAID, signed(PAID, secret="another"), SECRET, NOW_NS, "the signature is not one of the secret"),
    (PAID, "", SECRET, NOW_NS, "the signature is not one of the secret"),
    (PAID, "t=x,v1=y", SECRET, NOW_NS, "the signature is not one of the secret"),
    (PAID, signed(PAID), "", NOW_NS, "the secret is empty"),
    (b"\xff", signed(PAID), SECRET, NOW_NS, "the signature is not one of the secret"),
    (PAID, signed(PAID), SECRET, NOW_NS + 301 * 10**9, "signed 301 s ago; at most 300 s"),
    (PAID, signed(PAID), SECRET, NOW_NS - 301 * 10**9, "signed -301 s ago"),
    (b"[]", signed(b"[]"), SECRET, NOW_NS, "not an event of stripe"),
    (b"{", signed(b"{"), SECRET, NOW_NS, "not an event of stripe"),
])
def test_what_is_not_signed_by_the_secret_just_now_is_refused(
    payload: bytes, header: str, secret: str, now_ns: int, says: str,
) -> None:
    with pytest.raises(BadWebhook, match=says):
        read(payload, header, secret, now_ns)


@pytest.mark.parametrize("thing", [
    {"object": "customer"}, {"object": "payment_intent", "currency": "eur", "status": "succeeded", "amount": 5},
    {"object": "dispute", "status": "warning_needs_response", "amount": 5},
])
def test_what_is_no_business_of_ours_is_taken_and_ignored(thing: dict[str, Any]) -> None:
    payload = event("some.event", thing)
    assert read(payload, signed(payload), SECRET, NOW_NS) is None
