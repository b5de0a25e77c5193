"""Limits as a tenant's plan says: requests and tokens a minute, every tenant its own bucket."""

from workbench.control.limits import Gcra, Level, Limits
from workbench.control.tenants.book import Tenants

MINUTE_NS = 60 * 10**9


class PlanLimits:
    """Tenants with the same numbers share an object of limits, never a bucket."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._by_numbers: dict[tuple[int | None, int | None], Limits | None] = {}

    def of(self, tenant: str) -> Limits | None:
        """None: a plan without limits."""
        plan = self._tenants.plan(tenant)
        numbers = plan.requests_per_minute, plan.tokens_per_minute
        if numbers not in self._by_numbers:
            self._by_numbers[numbers] = _limits(*numbers)
        return self._by_numbers[numbers]


def _limits(requests: int | None, tokens: int | None) -> Limits | None:
    levels = []
    if requests is not None:
        levels.append(Level("requests", Gcra(requests, MINUTE_NS), by="tenant", counts="requests"))
    if tokens is not None:
        levels.append(Level("tokens", Gcra(tokens, MINUTE_NS), by="tenant"))
    return Limits(levels) if levels else None
