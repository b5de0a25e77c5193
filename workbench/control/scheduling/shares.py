"""Weights of tenants over one common denominator, what a request costs, and what released ones were counted."""

from collections.abc import Mapping
from math import lcm

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting


class Weights:
    """A tenant's own weight, else its tier's, else the default.

    `scale` is common multiple / weight: virtual time is cost x scale, a whole number for every weight.
    """

    def __init__(self, tenants: Mapping[str, int] | None, tiers: Mapping[str, int] | None, default: int) -> None:
        self._tenants, self._tiers, self._default = dict(tenants or {}), dict(tiers or {}), default
        whole("default_weight", default)
        for kind, table in (("weights", self._tenants), ("tier_weights", self._tiers)):
            for name, value in table.items():
                whole(f"{kind}.{name}", value)
        self.common = lcm(default, *self._tenants.values(), *self._tiers.values())

    def weight(self, item: Waiting) -> int:
        own = self._tenants.get(item.tenant)
        return self._tiers.get(item.tier, self._default) if own is None else own

    def scale(self, item: Waiting) -> int:
        return self.common // self.weight(item)


class Tab:
    """Cost = prompt tokens x prompt_cost + output tokens x output_cost, and what each released request was counted.

    Counted at release is a guess; what it really had replaces that. Output costs twice the prompt by default
    (VTC, arXiv 2401.00588, section 5).
    """

    def __init__(self, prompt_cost: int = 1, output_cost: int = 2) -> None:
        self.prompt_cost, self.output_cost = whole("prompt_cost", prompt_cost), whole("output_cost", output_cost)
        self._open: dict[str, tuple[str, int]] = {}

    def __len__(self) -> int:
        """Released and not yet settled."""
        return len(self._open)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._open

    def cost(self, prompt_tok: int, output_tok: int) -> int:
        return prompt_tok * self.prompt_cost + output_tok * self.output_cost

    def count(self, item: Waiting, cost: int) -> None:
        self._open[item.request_id] = item.tenant, cost

    def settle(self, request_id: str, prompt_tok: int, output_tok: int, done: bool) -> tuple[str, int]:
        """Tenant, and what to add to what it was counted. On the way only what is beyond the guess."""
        if request_id not in self._open:
            raise ValueError(f"request {request_id}: charged, but it is not released")
        tenant, counted = self._open[request_id]
        real = self.cost(whole("prompt_tok", prompt_tok, 0), whole("output_tok", output_tok, 0))
        if done:
            del self._open[request_id]
        elif real > counted:
            self._open[request_id] = tenant, real
        else:
            return tenant, 0
        return tenant, real - counted
