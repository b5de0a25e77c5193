"""Usage to pico-USD: counters of tokens, each with the rate that was in force."""

from collections.abc import Iterable
from typing import NamedTuple

from workbench.control.money.errors import NoPrice
from workbench.control.money.periods import Calendar, Period
from workbench.control.money.plans import Subscriptions
from workbench.control.money.price_book import ANY, KINDS, PriceBook, Version
from workbench.control.money.usage import Usage


class Counter:
    """Tokens of one tenant, in one billing period, under one version of one price. Tiers count these tokens.

    `billed_*` is what invoices have already shown of it.
    """

    __slots__ = ("billed_pusd", "billed_tok", "period", "pusd", "tok", "version")

    def __init__(self, period: Period, version: Version) -> None:
        self.period, self.version = period, version
        self.tok = self.pusd = self.billed_tok = self.billed_pusd = 0

    def add(self, tok: int) -> int:
        """What these tokens add to the bill: negative where a volume price falls for all of them."""
        self.tok += tok
        before, self.pusd = self.pusd, self.version.rate.total_pusd(self.tok)
        return self.pusd - before


class _Route(NamedTuple):
    """The counters of a tenant's usage of a model, from when until before when they are the ones."""

    from_ns: int
    until_ns: int
    revision: int
    input: Counter
    cached: Counter
    output: Counter


class Pricer:
    """Prices usage by the version, the plan and the billing period of the time at which it happened."""

    def __init__(self, book: PriceBook, subscriptions: Subscriptions, calendar: Calendar) -> None:
        self.book, self._subscriptions, self._calendar = book, subscriptions, calendar
        self._counters: dict[str, dict[tuple[Period, Version], Counter]] = {}
        self._routes: dict[tuple[str, str], _Route] = {}

    def price(self, usage: Usage) -> int:
        """Charges it. NoPrice if any kind of token has none; then nothing was counted."""
        route = self._routes.get((usage.tenant, usage.model))
        if route is None or not route.from_ns <= usage.at_ns < route.until_ns or route.revision != self.book.revision:
            route = self._find(usage)
        pusd = route.output.add(usage.output_tok) + route.input.add(usage.prompt_tok - usage.cached_tok)
        return pusd + route.cached.add(usage.cached_tok) if usage.cached_tok else pusd

    def changed(self, tenant: str) -> None:
        """The tenant's plan did."""
        for key in [one for one in self._routes if one[0] == tenant]:
            del self._routes[key]

    def counters(self, tenant: str) -> Iterable[Counter]:
        return self._counters.get(tenant, {}).values()

    def _find(self, usage: Usage) -> _Route:
        span, period = self._subscriptions.at(usage.tenant, usage.at_ns), self._calendar.period(usage.at_ns)
        found = [self.book.find(span.plan, usage.model, kind, usage.at_ns) for kind in KINDS]
        given, cached, output = (version for version, _, _ in found)
        if given is None or output is None:
            raise NoPrice(f"no price for {'output' if given else 'input'} tokens of model {usage.model!r} at "
                          f"{usage.at_ns} ns; add a version for it, or for model {ANY!r}")
        from_ns = max(span.from_ns, period.start_ns, *(one for _, one, _ in found))
        until_ns = min(span.until_ns, period.end_ns, *(one for _, _, one in found))
        counters = [self._counter(usage.tenant, period, one) for one in (given, cached or given, output)]
        route = _Route(from_ns, until_ns, self.book.revision, *counters)
        self._routes[usage.tenant, usage.model] = route
        return route

    def _counter(self, tenant: str, period: Period, version: Version) -> Counter:
        counters = self._counters.setdefault(tenant, {})
        return counters.setdefault((period, version), Counter(period, version))
