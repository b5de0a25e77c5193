"""What an invoice of a period says: usage, late usage, fees, what is missing to the minimum."""

from collections.abc import Sequence

from workbench.control.money.invoice import Charge
from workbench.control.money.periods import Period, moment
from workbench.control.money.plans import Subscriptions
from workbench.control.money.pricing import Counter


class Commitments:
    """Minimum of every closed period, and the usage seen for it by now: what late usage must not pay twice."""

    def __init__(self) -> None:
        self._closed: dict[tuple[str, Period], tuple[int, int]] = {}

    def close(self, tenant: str, period: Period, minimum_pusd: int, usage_pusd: int) -> int:
        """What is missing."""
        self._closed[tenant, period] = minimum_pusd, usage_pusd
        return max(0, minimum_pusd - usage_pusd)

    def late(self, tenant: str, period: Period, pusd: int) -> int:
        """By how much what was missing is less (a negative number) or more, now that usage has changed so."""
        minimum_pusd, usage_pusd = self._closed.get((tenant, period), (0, 0))
        self._closed[tenant, period] = minimum_pusd, usage_pusd + pusd
        return max(0, minimum_pusd - usage_pusd - pusd) - max(0, minimum_pusd - usage_pusd)


def usage_charges(counters: Sequence[Counter], period: Period, utc_ns: int = 0) -> list[Charge]:
    """Everything not yet billed, up to the end of the period; marks it as billed. Oldest first."""
    charges = list[Charge]()
    for one in sorted(counters, key=lambda one: (one.period, one.version[:2], one.version[3:])):
        tok, pusd = one.tok - one.billed_tok, one.pusd - one.billed_pusd
        if (tok or pusd) and one.period <= period:
            one.billed_tok, one.billed_pusd = one.tok, one.pusd
            text = f"{one.version.model} {one.version.kind}"
            if one.period < period:
                text += f", late, of the period from {moment(one.period.start_ns, utc_ns)}"
            charges.append(Charge("adjustment" if one.period < period else "usage", text, tok, pusd,
                                  _price(one, utc_ns)))
    return charges


def _price(counter: Counter, utc_ns: int) -> str:
    """The unit price, and from when until when it held where it changed in the middle of the period."""
    version, period = counter.version, counter.period
    words = version.rate.words()
    if period.start_ns < version.from_ns:
        words += f", from {moment(version.from_ns, utc_ns)}"
    return words + (f", until {moment(version.until_ns, utc_ns)}" if version.until_ns < period.end_ns else "")


def late_by_period(counters: Sequence[Counter], period: Period) -> dict[Period, int]:
    """Usage of earlier periods that no invoice has shown, in pico-USD; before `usage_charges` marks it."""
    late = dict[Period, int]()
    for one in counters:
        if one.period < period and one.pusd != one.billed_pusd:
            late[one.period] = late.get(one.period, 0) + one.pusd - one.billed_pusd
    return late


def plan_charges(
    subscriptions: Subscriptions, tenant: str, period: Period, utc_ns: int = 0
) -> tuple[list[Charge], int]:
    """Fees, each plan's for its time, and the minimum commitment of the whole period."""
    fees, minimum_pusd = list[Charge](), 0
    for name, from_ns, until_ns in subscriptions.within(tenant, period):
        plan = subscriptions.plans[name]
        minimum_pusd += period.prorate(plan.minimum_pusd, from_ns, until_ns)
        if plan.fee_pusd:
            part = "" if (from_ns, until_ns) == period else (
                f", {moment(from_ns, utc_ns)} to {moment(until_ns, utc_ns)}")
            fees.append(Charge("fee", name + part, 0, period.prorate(plan.fee_pusd, from_ns, until_ns)))
    return fees, minimum_pusd
