"""Payments as a payment provider reports them: the same books in whatever order its events come, however often.

Every event carries the whole state of one object (a payment, a refund, a dispute), as Stripe's do. Of all states told,
the latest holds: the maximum of a total order, so that it matters neither when nor how often one was told (a
last-writer-wins register: Shapiro et al. 2011, "Conflict-free replicated data types"). What an object means for the
ledger depends on that object alone; a change of state posts the difference.
"""

from typing import NamedTuple

from workbench.control.money.amounts import PUSD_PER_CENT, integer, usd
from workbench.control.money.errors import Conflict
from workbench.control.money.ledger import Entries, Ledger

# later ones hold if two are told for the same time: a provider's clock has seconds
STATUSES = {
    "payment": ("pending", "failed", "canceled", "succeeded"),
    "refund": ("pending", "canceled", "succeeded", "failed"),  # a refund can fail after it succeeded
    "dispute": ("open", "won", "lost"),
}


class ProviderEvent(NamedTuple):
    """`kind` payment, refund, dispute. A refund's or dispute's `payment` is the one it is about; `order` is the key
    under which we asked for a refund, if we did."""

    event_id: str
    at_ns: int
    kind: str
    object_id: str
    status: str
    cents: int
    tenant: str = ""
    invoice: str = ""
    payment: str = ""
    order: str = ""

    def check(self) -> "ProviderEvent":
        where = f"event {self.event_id!r}"
        if self.kind not in STATUSES or self.status not in STATUSES[self.kind]:
            raise ValueError(f"{where}: {self.kind} {self.status!r} is unknown; known: {STATUSES}")
        integer(f"{where}: at_ns", self.at_ns)
        integer(f"{where}: cents", self.cents, 1)
        if not (self.tenant if self.kind == "payment" else self.payment):
            raise ValueError(f"{where}: a payment names its tenant, a {self.kind} its payment")
        return self

    @property
    def rank(self) -> tuple[int, int, str]:
        return self.at_ns, STATUSES[self.kind].index(self.status), self.event_id


class RefundOrder(NamedTuple):
    """What to ask of the provider; `key` is its idempotency key. Money moves when the provider says so."""

    key: str
    payment: str
    cents: int


class Payments:
    """Folds events into a ledger: `cash`, `receivable:T`, `refunds`, `disputed`, `disputes_lost`."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self._events: dict[str, ProviderEvent] = {}
        self._latest: dict[tuple[str, str], ProviderEvent] = {}
        self._orders: dict[str, RefundOrder] = {}

    def on(self, now_ns: int, event: ProviderEvent) -> bool:
        """Whether it changed anything. Conflict: an event's id told again with another content."""
        before = self._events.get(event.event_id)
        if before is not None:
            if before == event:
                return False
            raise Conflict(f"event {event.event_id!r}: told before as {tuple(before)}, now {tuple(event)}")
        event.check()
        self.ledger.tick(now_ns)
        self._events[event.event_id] = event
        key = event.kind, event.object_id
        latest = self._latest.get(key)
        if latest is not None and latest.rank > event.rank:
            return False
        self._latest[key] = event
        change = dict(effect(event))
        for account, pusd in effect(latest) if latest else ():
            change[account] = change.get(account, 0) - pusd
        self.ledger.post(now_ns, f"event:{event.event_id}", tuple(one for one in change.items() if one[1]))
        return True

    def states(self) -> dict[str, str]:
        """Status of every object, by `kind id`."""
        return {f"{kind} {name}": one.status for (kind, name), one in sorted(self._latest.items())}

    def paid_cents(self, invoice: str) -> int:
        """What came in for an invoice and stayed: disputes not won take it out again, refunds were ours to give."""
        paid = [one for one in self._of("payment", "succeeded") if one.invoice == invoice]
        names = {one.object_id for one in paid}
        return sum(one.cents for one in paid) - sum(
            one.cents for one in self._of("dispute", "open", "lost") if one.payment in names)

    def disputed(self, invoice: str) -> bool:
        """Whether a payment of it is in dispute: nobody should be reminded meanwhile."""
        names = {one.object_id for one in self._of("payment", "succeeded") if one.invoice == invoice}
        return any(one.payment in names for one in self._of("dispute", "open"))

    def refundable_cents(self, payment: str) -> int:
        """What was paid, less refunds asked for or made, less what is or was lost in dispute."""
        paid = sum(one.cents for one in self._of("payment", "succeeded") if one.object_id == payment)
        refunds = [one for one in self._of("refund", "pending", "canceled", "succeeded", "failed")
                   if one.payment == payment]
        told = {one.order for one in refunds}
        asked = sum(one.cents for one in self._orders.values() if one.payment == payment and one.key not in told)
        made = sum(one.cents for one in refunds if one.status in ("pending", "succeeded"))
        lost = sum(one.cents for one in self._of("dispute", "open", "lost") if one.payment == payment)
        return paid - asked - made - lost

    def refund(self, now_ns: int, order: RefundOrder) -> RefundOrder:
        """The order to send, the same one if it is asked for again. ValueError if it is more than is left."""
        before = self._orders.get(order.key)
        if before is not None:
            if before == order:
                return before
            raise Conflict(f"refund {order.key!r}: asked for before as {tuple(before)}; a new one needs a new key")
        integer(f"refund {order.key!r}: cents", order.cents, 1)
        left = self.refundable_cents(order.payment)
        if order.cents > left:
            raise ValueError(f"refund {order.key!r}: {usd(order.cents)} USD is more than the {usd(left)} left of "
                             f"payment {order.payment}")
        self.ledger.tick(now_ns)
        self._orders[order.key] = order
        return order

    def _of(self, kind: str, *statuses: str) -> list[ProviderEvent]:
        return [one for (which, _), one in self._latest.items() if which == kind and one.status in statuses]


def effect(event: ProviderEvent) -> Entries:
    """What an object in this state means for the books."""
    pusd = event.cents * PUSD_PER_CENT
    match event.kind, event.status:
        case "payment", "succeeded":
            return ("cash", pusd), (f"receivable:{event.tenant}", -pusd)
        case "refund", "succeeded":
            return ("refunds", pusd), ("cash", -pusd)
        case "dispute", "open":
            return ("disputed", pusd), ("cash", -pusd)
        case "dispute", "lost":
            return ("disputes_lost", pusd), ("cash", -pusd)
        case _:
            return ()
