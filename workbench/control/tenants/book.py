"""All tiers and tenants of a platform, checked once, asked by everybody."""

from collections.abc import Mapping
from typing import Any

from workbench.control.request import Waiting
from workbench.control.tenants.tier import FLAGS, Tier, remedy


class Tenants:
    """`tier_of` and `plan` per tenant; what the other policies take as parameters is derived from them.

    `default_tier`: the tier of whoever is not in the book; None: unknown tenants are refused.
    """

    def __init__(
        self,
        tiers: Mapping[str, Mapping[str, Any]],
        tenants: Mapping[str, Mapping[str, Any]],
        default_tier: str | None = None,
    ) -> None:
        if not tiers:
            raise ValueError("tiers: none; give at least one")
        self.tiers = {name: _read(f"tiers.{name}", Tier(), facts) for name, facts in tiers.items()}
        if default_tier is not None and default_tier not in self.tiers:
            raise ValueError(f"default_tier: {default_tier!r} is unknown; {remedy(default_tier, self.tiers)}")
        self.default_tier = default_tier
        self._tier_of: dict[str, str] = {}
        self._plans: dict[str, Tier] = {}
        for name, facts in tenants.items():
            own = _table(f"tenants.{name}", facts)
            tier = own.pop("tier", None)
            if tier is None:
                near = next((key for key in own if remedy(key, ["tier"]).startswith("did")), None)
                hint = f"{near!r} is unknown; did you mean 'tier'?" if near else f"known: {', '.join(self.tiers)}"
                raise ValueError(f"tenants.{name}: has no tier; {hint}")
            if tier not in self.tiers:
                raise ValueError(f"tenants.{name}.tier: {tier!r} is unknown; {remedy(str(tier), self.tiers)}")
            self._tier_of[name] = tier
            self._plans[name] = _read(f"tenants.{name}", self.tiers[tier], own)
        self._facts = {"tiers": _plain(tiers), "tenants": _plain(tenants)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Tenants":
        """Of a TOML's tables `tiers`, `tenants` and the key `default_tier`."""
        known = ("tiers", "tenants", "default_tier")
        for key in facts:
            if key not in known:
                raise ValueError(f"{key}: unknown key; {remedy(key, known)}")
        return cls(_table("tiers", facts.get("tiers", {})), _table("tenants", facts.get("tenants", {})),
                   facts.get("default_tier"))

    def as_facts(self) -> dict[str, Any]:
        """As they were given: from_facts makes an equal book of them."""
        return {**self._facts, **({} if self.default_tier is None else {"default_tier": self.default_tier})}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._plans)

    def tier_of(self, tenant: str) -> str:
        tier = self._tier_of.get(tenant, self.default_tier)
        if tier is None:
            raise ValueError(f"tenant {tenant!r} is unknown; {remedy(tenant, self._plans)}")
        return tier

    def plan(self, tenant: str) -> Tier:
        """What this tenant gets: its tier with its own values."""
        return self._plans.get(tenant) or self.tiers[self.tier_of(tenant)]

    def enabled(self, tenant: str, flag: str) -> bool:
        if flag not in FLAGS:
            raise ValueError(f"flag {flag!r} is unknown; {remedy(flag, FLAGS)}")
        return self.plan(tenant).flags.get(flag, False)

    def stamped(self, item: Waiting) -> Waiting:
        """The request with its tenant's tier and class (its own priority read as a hint), and the earlier of its own
        deadline and its tier's. Once, when it arrives."""
        tier, priority, deadline_ns = self.stamp(item.tenant, item.arrived_ns, item.priority, item.deadline_ns)
        return item._replace(tier=tier, priority=priority, deadline_ns=deadline_ns)

    def stamp(self, tenant: str, arrived_ns: int, hint: int, deadline_ns: int | None) -> tuple[str, int, int | None]:
        """Tier, class and deadline of a request."""
        plan = self.plan(tenant)
        if plan.deadline_ns is not None:
            last_ns = arrived_ns + plan.deadline_ns
            deadline_ns = last_ns if deadline_ns is None else min(deadline_ns, last_ns)
        return self.tier_of(tenant), plan.hinted(hint), deadline_ns

    def pool(self, tenant: str) -> str:
        """Name of the replicas that it may run on: two tenants share a replica only if these are equal."""
        return self._apart(tenant, self.plan(tenant).replicas)

    def cache_scope(self, tenant: str) -> str:
        """Scope of its cached answers: two tenants share one only if these are equal."""
        return self._apart(tenant, self.plan(tenant).cache)

    def _apart(self, tenant: str, apart: str) -> str:
        """Kinds carry a mark, so that no tenant can be named like a tier."""
        if apart == "shared":
            return apart
        return f"tier:{self.tier_of(tenant)}" if apart == "tier" else f"tenant:{tenant}"

    def weights(self) -> dict[str, int]:
        """For the fair orders: `weights`."""
        return {name: plan.weight for name, plan in self._plans.items()}

    def tier_weights(self) -> dict[str, int]:
        return {name: tier.weight for name, tier in self.tiers.items()}

    def waiting_limits(self) -> dict[str, int]:
        """For the queue: `tenant_limits`."""
        return {name: plan.waiting for name, plan in self._plans.items() if plan.waiting is not None}

    def targets(self) -> dict[str, dict[str, int]]:
        """For attainment by tier: what is promised, of those that promise something."""
        found = {}
        for name, tier in self.tiers.items():
            limits = {key: value for key in ("ttft_ns", "e2e_ns") if (value := getattr(tier, key)) is not None}
            if limits:
                found[name] = {**limits, "target_ppm": tier.target_ppm}
        return found


def _table(place: str, facts: Any) -> dict[str, Any]:
    if not isinstance(facts, Mapping):
        raise ValueError(f"{place}: {facts!r} is not a table")
    return dict(facts)


def _plain(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: dict(value) if isinstance(value, Mapping) else value for key, value in facts.items()}
            for name, facts in tables.items()}


def _read(place: str, base: Tier, facts: Any) -> Tier:
    try:
        return base.but(_table(place, facts))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(place) else f"{place}.{text}") from None
