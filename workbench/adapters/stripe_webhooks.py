"""Stripe's webhooks as `ProviderEvent`s: signature and age checked by the `stripe` SDK's rule, offline.

Needs the package stripe (pip install stripe). Time is passed in: the SDK's own check of age reads the wall clock.
The tenant and the invoice come from the metadata that the platform gives a PaymentIntent when it makes it:
`metadata[tenant]`, `metadata[invoice]`, and for a refund `metadata[order]`.
"""

import importlib
import json
from collections.abc import Mapping
from typing import Any

from workbench.control.money.payments import ProviderEvent
from workbench.control.money.periods import NS

TOLERANCE_S = 300  # what Stripe's libraries take by default
KINDS = {"payment_intent": "payment", "refund": "refund", "dispute": "dispute"}
# docs.stripe.com/api: PaymentIntent.status, Refund.status, Dispute.status
STATUSES: Mapping[str, Mapping[str, str]] = {
    "payment": {"succeeded": "succeeded", "canceled": "canceled", "requires_payment_method": "failed"},
    "refund": {"succeeded": "succeeded", "failed": "failed", "canceled": "canceled"},
    "dispute": {"won": "won", "lost": "lost"},
}
OTHERWISE = {"payment": "pending", "refund": "pending", "dispute": "open"}


class BadWebhook(ValueError):
    """Not signed with our secret, too old, or not what Stripe sends. Answer 400; the provider tries again."""


def verify(payload: bytes, header: str, secret: str, now_ns: int, tolerance_s: int = TOLERANCE_S) -> None:
    """BadWebhook unless somebody who knows the secret signed exactly these bytes not long ago."""
    try:
        stripe: Any = importlib.import_module("stripe")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("webhooks of stripe need the package stripe: pip install stripe",
                                  name=error.name) from error
    if not secret:
        raise BadWebhook("the secret is empty; it is the endpoint's, whsec_...")
    try:
        stripe.WebhookSignature.verify_header(payload, header, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
        raise BadWebhook("the signature is not one of the secret for these bytes") from error
    signed_s = int(next(part[2:] for part in header.split(",") if part.startswith("t=")))
    if abs(now_ns // NS - signed_s) > tolerance_s:
        raise BadWebhook(f"signed {now_ns // NS - signed_s} s ago; at most {tolerance_s} s are taken")


def read(payload: bytes, header: str, secret: str, now_ns: int, tolerance_s: int = TOLERANCE_S) -> ProviderEvent | None:
    """The event of a webhook; None for one that is not about a payment, refund or dispute in USD: answer 200.

    `warning_...`: inquiries of a card network, which move no money.
    """
    verify(payload, header, secret, now_ns, tolerance_s)
    try:
        event = json.loads(payload)
        thing = event["data"]["object"]
        kind = KINDS.get(thing["object"])
        if kind is None or thing["currency"] != "usd" or thing["status"].startswith("warning_"):
            return None
        about = thing.get("metadata") or {}
        return ProviderEvent(
            event["id"], event["created"] * NS, kind, thing["id"], STATUSES[kind].get(thing["status"], OTHERWISE[kind]),
            thing["amount_received"] or thing["amount"] if kind == "payment" else thing["amount"],
            about.get("tenant", ""), about.get("invoice", ""),
            "" if kind == "payment" else thing["payment_intent"] or thing["charge"], about.get("order", "")).check()
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise BadWebhook(f"not an event of stripe: {type(error).__name__} {error}") from error

