"""What a tenant subscribed to, since when: a fee and a minimum commitment, each for the time it was in force."""

from bisect import bisect_right
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from workbench.control.money.amounts import integer
from workbench.control.money.periods import Period
from workbench.control.money.price_book import FOREVER_NS


class Plan(NamedTuple):
    """Both per billing period, in pico-USD; the plan's name also picks prices of its own in the price book."""

    fee_pusd: int = 0
    minimum_pusd: int = 0


class Span(NamedTuple):
    """A plan and the time for which it holds, half-open."""

    plan: str
    from_ns: int
    until_ns: int


class Subscriptions:
    """Changes of plan, each from a time on; the plan "" (no fee, no minimum) before the first and after a cancel."""

    def __init__(self, plans: Mapping[str, Plan] | None = None) -> None:
        self.plans: dict[str, Plan] = {"": Plan(), **(plans or {})}
        for name, plan in self.plans.items():
            integer(f"plans.{name}.fee_pusd", plan.fee_pusd, 0)
            integer(f"plans.{name}.minimum_pusd", plan.minimum_pusd, 0)
        self._changes: dict[str, list[tuple[int, str]]] = {}

    def change(self, tenant: str, plan: str, from_ns: int) -> None:
        """From then on, whatever was planned for later. The caller sees to it that `from_ns` is not in the past."""
        if plan not in self.plans:
            near = get_close_matches(plan, self.plans, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(filter(None, self.plans))}"
            raise ValueError(f"tenants.{tenant}.plan: {plan!r} is unknown; {remedy}")
        changes = self._changes.setdefault(tenant, [])
        del changes[bisect_right(changes, from_ns - 1, key=_when):]
        changes.append((from_ns, plan))

    def at(self, tenant: str, at_ns: int) -> Span:
        changes = self._changes.get(tenant, [])
        i = bisect_right(changes, at_ns, key=_when)
        from_ns, plan = changes[i - 1] if i else (-FOREVER_NS, "")
        return Span(plan, from_ns, changes[i][0] if i < len(changes) else FOREVER_NS)

    def within(self, tenant: str, period: Period) -> list[Span]:
        """The plans of a period, each with its part of the time: they fill it without gap."""
        spans, at_ns = list[Span](), period.start_ns
        while at_ns < period.end_ns:
            plan, _, until_ns = self.at(tenant, at_ns)
            spans.append(Span(plan, at_ns, min(until_ns, period.end_ns)))
            at_ns = until_ns
        return spans

    def first_ns(self, tenant: str) -> int | None:
        changes = self._changes.get(tenant)
        return changes[0][0] if changes else None


def _when(change: tuple[int, str]) -> int:
    return change[0]
