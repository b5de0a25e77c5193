"""The billing engine: usage in, postings out, one invoice for each tenant and period.

Accounts: `unbilled:T` and `receivable:T` (assets), `revenue:MODEL`, `revenue:fees`, `revenue:minimum`, `cost:MODEL`
against `fleet`, `credit:T` (what we owe T in service), `promotions`, `expired`, `credited`, `bad_debt`, `rounding`.
"""

from collections.abc import Mapping

from workbench.control.money.amounts import PUSD_PER_CENT, integer, usd
from workbench.control.money.closing import Commitments, late_by_period, plan_charges, usage_charges
from workbench.control.money.credits import Credits, Grant
from workbench.control.money.errors import Conflict, PeriodClosed
from workbench.control.money.invoice import Charge, CreditNote, Invoice, lines_of
from workbench.control.money.ledger import Ledger
from workbench.control.money.periods import DAY_NS, Calendar, Months, Period
from workbench.control.money.plans import Plan, Subscriptions
from workbench.control.money.price_book import PriceBook, Version
from workbench.control.money.pricing import Pricer
from workbench.control.money.usage import Usage


class Billing:
    """Every method checks first and changes then: what is refused has changed nothing."""

    def __init__(
        self, book: PriceBook, *, calendar: Calendar | None = None, plans: Mapping[str, Plan] | None = None,
        terms_ns: int = 30 * DAY_NS, ledger: Ledger | None = None,
    ) -> None:
        self.book, self.calendar, self.ledger = book, calendar or Months(), Ledger() if ledger is None else ledger
        self.subscriptions, self.credits = Subscriptions(plans), Credits()
        self.terms_ns = integer("terms_ns", terms_ns, 0)
        self.invoices: dict[str, Invoice] = {}
        self._pricer = Pricer(book, self.subscriptions, self.calendar)
        self._commitments = Commitments()
        self._usage: dict[str, Usage] = {}
        self._accounts: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._open_from_ns: dict[str, int] = {}  # of each tenant: begin of the first period without an invoice
        self._due_ns: int | None = None  # not known where somebody is open
        self._invoiced: set[str] = set()
        self._notes: dict[str, CreditNote] = {}
        self._noted_cents: dict[str, int] = {}

    def record(self, now_ns: int, usage: Usage) -> int | None:
        """Its price in pico-USD (below zero where a volume price falls); None if it was recorded before.

        Conflict: the same key with another content. NoPrice. Usage of a closed period is taken: it goes to the next
        invoice, at the price of its own time.
        """
        before = self._usage.get(usage.key)
        if before is not None:
            if before == usage:
                return None
            raise Conflict(f"usage {usage.key!r}: recorded before as {tuple(before)}, now {tuple(usage)}; a new fact "
                           "needs a new key")
        usage.check()
        if usage.at_ns > now_ns:
            raise ValueError(f"usage {usage.key!r}: happens at {usage.at_ns} ns, after now, {now_ns} ns")
        self.ledger.tick(now_ns)
        price_pusd = self._pricer.price(usage)
        self._usage[usage.key] = usage
        tenant, cost_pusd = usage.tenant, usage.cost_pusd
        open_from_ns = self._open_from_ns.get(tenant)
        if open_from_ns is None or usage.at_ns < open_from_ns:
            self._active(tenant, usage.at_ns)
        unbilled, revenue, cost = self._accounts.get((tenant, usage.model)) or self._accounts.setdefault(
            (tenant, usage.model), (f"unbilled:{tenant}", f"revenue:{usage.model}", f"cost:{usage.model}"))
        self.ledger.post(now_ns, "usage:" + usage.key, (
            (unbilled, price_pusd), (revenue, -price_pusd), (cost, cost_pusd), ("fleet", -cost_pusd)))
        return price_pusd

    def subscribe(self, now_ns: int, tenant: str, plan: str, from_ns: int | None = None) -> None:
        """A plan from then on (default: now), "" to cancel. Never from the past: usage is already priced there."""
        from_ns = now_ns if from_ns is None else from_ns
        self._not_past(now_ns, f"tenants.{tenant}.plan {plan!r}", from_ns)
        self.subscriptions.change(tenant, plan, from_ns)
        self.ledger.tick(now_ns)
        self._active(tenant, from_ns)
        self._pricer.changed(tenant)

    def add_price(self, now_ns: int, version: Version) -> None:
        """A new version, not from the past. Overlap."""
        self._not_past(now_ns, f"price {version.name}", version.from_ns)
        self.book.add(version)
        self.ledger.tick(now_ns)

    def grant(self, now_ns: int, grant: Grant, paid_from: str = "promotions") -> None:
        """A credit: a gift, or `paid_from` cash."""
        if not self.credits.known(grant):
            self.ledger.tick(now_ns)
            self.ledger.post(now_ns, f"credit:{grant.key}",
                             ((paid_from, grant.pusd), (f"credit:{grant.tenant}", -grant.pusd)))
            self.credits.grant(grant)
            self._active(grant.tenant, max(grant.from_ns, now_ns))

    def next_period(self, tenant: str) -> Period | None:
        """The first without an invoice; None for a tenant never seen."""
        from_ns = self._open_from_ns.get(tenant)
        return None if from_ns is None else self.calendar.period(from_ns)

    def due_ns(self) -> int | None:
        """When the next period ends."""
        if self._due_ns is None:
            self._due_ns = min((self.calendar.period(from_ns).end_ns for from_ns in self._open_from_ns.values()),
                               default=None)
        return self._due_ns

    def on_time(self, now_ns: int) -> list[Invoice]:
        """Closes every period that is over, of every tenant, in the order of time and then of name."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return []
        issued = list[Invoice]()
        while (due_ns := self.due_ns()) is not None and due_ns <= now_ns:
            for tenant in sorted(self._open_from_ns):
                period = self.calendar.period(self._open_from_ns[tenant])
                if period.end_ns == due_ns:
                    issued.append(self.close(now_ns, tenant, period))
        return issued

    def close(self, now_ns: int, tenant: str, period: Period) -> Invoice:
        """The invoice of a period that is over. PeriodClosed if there is one; periods close in their order."""
        self._closable(now_ns, tenant, period)
        self.ledger.tick(now_ns)
        counters = list(self._pricer.counters(tenant))
        late = late_by_period(counters, period)
        utc_ns: int = getattr(self.calendar, "utc_ns", 0)  # of dates on the invoice
        charges = usage_charges(counters, period, utc_ns)
        usage_pusd = sum(one.pusd for one in charges)
        fees, minimum_pusd = plan_charges(self.subscriptions, tenant, period, utc_ns)
        fees_pusd = sum(one.pusd for one in fees)
        missing = self._commitments.close(tenant, period, minimum_pusd, usage_pusd - sum(late.values()))
        given_back = sum(self._commitments.late(tenant, *one) for one in late.items())
        charges += fees
        charges += [Charge("minimum", text, 0, pusd) for text, pusd in (
            ("up to the minimum commitment", missing), ("late usage, paid as minimum before", given_back)) if pusd]
        owed = usage_pusd + fees_pusd + missing + given_back
        used = self.credits.use(tenant, period, max(0, owed))
        carried = max(0, -owed)
        charges += [Charge(what, text, 0, pusd) for what, text, pusd in (
            ("credit", "credits", -used), ("carried", "kept as a credit", carried)) if pusd]
        total_cents, lines = lines_of(charges)
        number = f"INV-{len(self.invoices) + 1:06d}"
        invoice = Invoice(number, tenant, period, now_ns, now_ns + self.terms_ns, lines, total_cents, utc_ns)
        if carried:
            self.credits.grant(Grant(f"carried:{number}", tenant, carried, now_ns))
        expired = self.credits.expire(tenant, period.end_ns)
        receivable = total_cents * PUSD_PER_CENT
        self.ledger.post(now_ns, f"invoice:{number}", (
            (f"receivable:{tenant}", receivable), (f"unbilled:{tenant}", -usage_pusd), ("revenue:fees", -fees_pusd),
            ("revenue:minimum", -missing - given_back), (f"credit:{tenant}", used + expired - carried),
            ("expired", -expired), ("rounding", owed - used + carried - receivable)))
        self.invoices[number] = invoice
        self._open_from_ns[tenant], self._due_ns = period.end_ns, None
        self._invoiced.add(tenant)
        return invoice

    def credit_note(self, now_ns: int, note: CreditNote) -> bool:
        """Whether it was new. All notes of an invoice together are at most its total. A debt that nobody will pay
        is a note on the account `bad_debt`."""
        before = self._notes.get(note.key)
        if before is not None:
            if before == note:
                return False
            raise Conflict(f"credit note {note.key!r}: issued before as {tuple(before)}; a new one needs a new key")
        integer(f"credit note {note.key!r}: cents", note.cents, 1)
        if note.cents > self.owed_cents(note.invoice):
            raise ValueError(f"credit note {note.key!r}: {usd(note.cents)} USD is more than the "
                             f"{usd(self.owed_cents(note.invoice))} left of {note.invoice}")
        self.ledger.tick(now_ns)
        self._notes[note.key] = note
        self._noted_cents[note.invoice] = self._noted_cents.get(note.invoice, 0) + note.cents
        pusd = note.cents * PUSD_PER_CENT
        self.ledger.post(now_ns, f"note:{note.key}", (
            (note.account, pusd), (f"receivable:{self.invoices[note.invoice].tenant}", -pusd)))
        return True

    def owed_cents(self, number: str) -> int:
        """The total less the credit notes; what was paid of it the payments know."""
        if number not in self.invoices:
            raise ValueError(f"invoice {number!r} is unknown; the last is {next(reversed(self.invoices), 'none')}")
        return self.invoices[number].total_cents - self._noted_cents.get(number, 0)

    def _closable(self, now_ns: int, tenant: str, period: Period) -> None:
        name = f"tenants.{tenant}: period [{period.start_ns}, {period.end_ns})"
        if period != self.calendar.period(period.start_ns):
            raise ValueError(f"{name} is not one of the calendar: {tuple(self.calendar.period(period.start_ns))}")
        following = self.next_period(tenant) or period
        if period < following:
            raise PeriodClosed(f"{name} is closed; what is late goes to the invoice of the period from "
                               f"{following.start_ns}")
        if period > following:
            raise ValueError(f"{name}: close the one from {following.start_ns} first")
        if now_ns < period.end_ns:
            raise ValueError(f"{name} is not over at {now_ns}")

    def _active(self, tenant: str, at_ns: int) -> None:
        if tenant not in self._invoiced:
            self._open_from_ns[tenant] = min(at_ns, self._open_from_ns.get(tenant, at_ns))
            self._due_ns = None

    def _not_past(self, now_ns: int, what: str, from_ns: int) -> None:
        if from_ns < now_ns:
            raise ValueError(f"{what}: from {from_ns} ns, before now, {now_ns} ns; what is past is priced already")
