"""Who used what, and what it cost us beside what it earns: sums by tenant, model and slice of time; budgets."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from workbench.control.money.amounts import apportion, integer
from workbench.control.money.periods import NS
from workbench.control.money.usage import Usage


class Row(NamedTuple):
    """Sums. What was not grouped by is "" or 0."""

    tenant: str = ""
    model: str = ""
    slice_ns: int = 0
    requests: int = 0
    prompt_tok: int = 0
    cached_tok: int = 0
    output_tok: int = 0
    cost_pusd: int = 0
    price_pusd: int = 0

    @property
    def margin_pusd(self) -> int:
        return self.price_pusd - self.cost_pusd


class CostTracker:
    """Sums usage as it comes; who calls has seen to it that each is new (`Billing.record` says so)."""

    def __init__(self, slice_ns: int = 3600 * NS) -> None:
        self.slice_ns = integer("slice_ns", slice_ns, 1)
        self._sums: dict[tuple[str, str, int], list[int]] = {}

    def record(self, usage: Usage, price_pusd: int) -> None:
        key = usage.tenant, usage.model, usage.at_ns - usage.at_ns % self.slice_ns
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * 6
        sums[0] += 1
        sums[1] += usage.prompt_tok
        sums[2] += usage.cached_tok
        sums[3] += usage.output_tok
        sums[4] += usage.cost_pusd
        sums[5] += price_pusd

    def by(self, *columns: str, from_ns: int = -(1 << 126), until_ns: int = 1 << 126) -> list[Row]:
        """Sums by some of tenant, model, slice_ns (none: the total), in their order, over whole slices."""
        groups: dict[tuple[str, str, int], list[int]] = {}
        for (tenant, model, slice_ns), sums in self._sums.items():
            if from_ns <= slice_ns < until_ns:
                key = (tenant if "tenant" in columns else "", model if "model" in columns else "",
                       slice_ns if "slice_ns" in columns else 0)
                groups[key] = [a + b for a, b in zip(groups.get(key, [0] * 6), sums, strict=True)]
        return [Row(*key, *sums) for key, sums in sorted(groups.items())]

    def spread(self, pusd: int, weights: Mapping[str, int]) -> dict[str, int]:
        """A cost that no request caused alone (idle GPUs, say) over tenants: the shares sum to it."""
        return dict(zip(weights, apportion(pusd, list(weights.values())), strict=True))


class Alert(NamedTuple):
    """A tenant has spent so much of its budget, in parts per million."""

    at_ns: int
    tenant: str
    level_ppm: int
    spent_pusd: int
    budget_pusd: int


class Budgets:
    """Says once in a period that a level of a budget was reached; the caller starts a new period by `reset`."""

    def __init__(self, budgets: Mapping[str, int], levels_ppm: Sequence[int] = (500_000, 800_000, 1_000_000)) -> None:
        self.budgets = {tenant: integer(f"budgets.{tenant}", pusd, 1) for tenant, pusd in budgets.items()}
        self.levels_ppm = tuple(sorted(integer("levels_ppm", one, 1) for one in levels_ppm))
        self._spent: dict[str, int] = {}
        self._said: dict[str, int] = {}

    def spend(self, now_ns: int, tenant: str, pusd: int) -> list[Alert]:
        budget_pusd = self.budgets.get(tenant)
        if budget_pusd is None:
            return []
        spent = self._spent[tenant] = self._spent.get(tenant, 0) + pusd
        alerts = list[Alert]()
        while ((i := self._said.get(tenant, 0)) < len(self.levels_ppm)
               and spent * 1_000_000 >= budget_pusd * self.levels_ppm[i]):
            self._said[tenant] = i + 1
            alerts.append(Alert(now_ns, tenant, self.levels_ppm[i], spent, budget_pusd))
        return alerts

    def reset(self, tenants: Iterable[str] | None = None) -> None:
        for tenant in list(self.budgets if tenants is None else tenants):
            self._spent.pop(tenant, None)
            self._said.pop(tenant, None)
