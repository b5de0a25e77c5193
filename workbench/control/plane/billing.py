"""A billing engine of plain facts: `[control.billing]` with prices, plans, subscriptions, credits and a calendar."""

from collections.abc import Mapping
from typing import Any

from workbench.control.money.amounts import integer
from workbench.control.money.billing import Billing
from workbench.control.money.credits import Grant
from workbench.control.money.invoice import Invoice
from workbench.control.money.periods import DAY_NS, Calendar, Every, Months
from workbench.control.money.plans import Plan
from workbench.control.money.price_book import PriceBook
from workbench.control.registry import known

KEYS = ("calendar", "credits", "plans", "prices", "subscriptions", "terms_days", "utc_ns")
LATEST_NS = 230 * 365 * DAY_NS  # since 1970; a run's own clock may add as much again
LEAST_NS = 1_000_000_000  # of a period: each has an invoice for each tenant, whether anything happened or not


def billing_of(raw: Mapping[str, Any]) -> Billing:
    """ValueError in one line for what cannot be: overlapping prices, an unknown plan, a credit granted twice.

    calendar        "months" (default; `utc_ns` is the time since 1970 at the run's t=0), "days", { days = 7 } or
                    { every_ns = ... } from t=0, at least a second
    prices          rows of the price book, each with its effective times
    plans           name -> { fee_pusd, minimum_pusd }, both per period; a price may be for one plan only
    subscriptions   { tenant, plan, from_ns = 0 }: a plan from then on, "" ends it
    credits         { key, tenant, pusd, from_ns, until_ns }
    """
    known("control.billing", raw, KEYS)
    plans = {name: _row(f"billing.plans.{name}", Plan, facts) for name, facts in raw.get("plans", {}).items()}
    billing = Billing(PriceBook.from_facts(raw.get("prices", ())), calendar=_calendar(raw), plans=plans,
                      terms_ns=integer("billing.terms_days", raw.get("terms_days", 30), 0) * DAY_NS)
    for row in raw.get("credits", ()):
        billing.grant(0, _row("billing.credits", Grant, row))
    for i, row in enumerate(sorted(raw.get("subscriptions", ()), key=lambda row: int(row.get("from_ns", 0)))):
        known(f"control.billing.subscriptions.{i}", row, ("tenant", "plan", "from_ns"))
        if "tenant" not in row or "plan" not in row:
            raise ValueError(f"billing.subscriptions.{i}: tenant and plan are needed")
        billing.subscribe(0, row["tenant"], row["plan"], row.get("from_ns", 0))
    return billing


def close(billing: Billing, now_ns: int) -> tuple[int, tuple[Invoice, ...]]:
    """Every period up to the one of `now_ns`, as if that were over; and when it is."""
    end_ns = billing.calendar.period(now_ns).end_ns
    return end_ns, tuple(billing.on_time(end_ns))


def _calendar(raw: Mapping[str, Any]) -> Calendar:
    given = raw.get("calendar", "months")
    if given == "months":
        if integer("billing.utc_ns", raw.get("utc_ns", 0), 0) >= LATEST_NS:
            raise ValueError(f"billing.utc_ns: {raw['utc_ns']} is later than the year 2199")
        return Months(raw.get("utc_ns", 0))
    if "utc_ns" in raw:
        raise ValueError("billing.utc_ns: only calendar 'months' asks for it")
    if given == "days":
        return Every(DAY_NS)
    if isinstance(given, Mapping) and len(given) == 1:
        if "days" in given:
            return Every(integer("billing.calendar.days", given["days"], 1) * DAY_NS)
        if "every_ns" in given:
            return Every(integer("billing.calendar.every_ns", given["every_ns"], LEAST_NS))
    raise ValueError(f"billing.calendar: {given!r} is unknown; known: 'months', 'days', days = ..., every_ns = ...")


def _row(place: str, kind: type[Any], facts: Mapping[str, Any]) -> Any:
    try:
        return kind(**facts)
    except TypeError as error:
        raise ValueError(f"{place}: {error.args[0].partition(') ')[2]}; given: {', '.join(facts)}") from None
