"""What an owned machine costs a month: capital as an annuity, then everything that goes on being paid.

The annuity pays back price less discounted resale value, with interest, in equal monthly parts: it is what the machine
would have to be rented out for to earn its cost of capital (any textbook of engineering economy: "capital recovery").
"""

from dataclasses import dataclass, replace

from workbench.economics.unit_cost import HOURS_PER_MONTH
from workbench.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One machine and its share of what stands around it. Power between idle and full is taken as linear in use."""

    server_usd: float
    network_usd: float = 0.0  # its share of switches and cables
    storage_usd: float = 0.0
    life_months: int = 36
    residual_frac: float = 0.0  # of all that was bought, at the end of that life
    capital_rate_per_year: float = 0.08  # what the money would earn or costs elsewhere
    power_kw: float = 0.0  # at full load
    idle_power_frac: float = 0.3  # of it, when nothing runs
    pue: float = 1.0  # the building's power over the machines'
    usd_per_kwh: float = 0.0
    colocation_usd_per_kw_month: float = 0.0  # of `power_kw`; 0 where the building is one's own
    staff_usd_per_month: float = 0.0  # the machine's share of people
    maintenance_frac_per_year: float = 0.0  # of what was bought: support contract, spares
    kg_co2_per_kwh: float | None = None

    def __post_init__(self) -> None:
        if self.server_usd <= 0 or self.life_months < 1 or self.pue < 1:
            raise UsageError("owned: server_usd is above 0, life_months 1 or more, pue 1 or more")
        for name in ("residual_frac", "idle_power_frac", "capital_rate_per_year", "maintenance_frac_per_year"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"owned: {name}: {getattr(self, name)}: a fraction from 0 to 1")

    @property
    def capex_usd(self) -> float:
        return self.server_usd + self.network_usd + self.storage_usd

    @property
    def capital_usd_per_month(self) -> float:
        return annuity(self.capex_usd, self.residual_frac * self.capex_usd, self.capital_rate_per_year / 12,
                       self.life_months)


@dataclass(frozen=True, slots=True)
class OwnedMonth:
    """The bill of so many machines, line by line."""

    capital_usd: float
    electricity_usd: float
    colocation_usd: float
    staff_usd: float
    maintenance_usd: float
    kwh: float
    kg_co2: float | None

    @property
    def usd(self) -> float:
        return (self.capital_usd + self.electricity_usd + self.colocation_usd + self.staff_usd
                + self.maintenance_usd)

    @property
    def usd_per_hour(self) -> float:
        return self.usd / HOURS_PER_MONTH


def annuity(price_usd: float, residual_usd: float, rate_per_month: float, months: int) -> float:
    """Equal monthly payments at each month's end whose present value is price less discounted residual."""
    if rate_per_month == 0:
        return (price_usd - residual_usd) / months
    discount = (1 + rate_per_month) ** -months
    return (price_usd - residual_usd * discount) * rate_per_month / (1 - discount)


def month(owned: Owned, machines: int, busy_frac: float) -> OwnedMonth:
    """All machines are paid for whether busy or not; `busy_frac` moves electricity alone."""
    if machines < 0 or not 0 <= busy_frac <= 1:
        raise UsageError(f"owned: {machines} machines, busy {busy_frac}: 0 or more machines, a fraction of 0 to 1")
    kwh = energy_kwh(owned, machines, busy_frac, HOURS_PER_MONTH)
    return OwnedMonth(
        capital_usd=machines * owned.capital_usd_per_month,
        electricity_usd=kwh * owned.usd_per_kwh,
        colocation_usd=machines * owned.power_kw * owned.colocation_usd_per_kw_month,
        staff_usd=machines * owned.staff_usd_per_month,
        maintenance_usd=machines * owned.capex_usd * owned.maintenance_frac_per_year / 12,
        kwh=kwh, kg_co2=None if owned.kg_co2_per_kwh is None else kwh * owned.kg_co2_per_kwh,
    )


def energy_kwh(owned: Owned, machines: float, busy_frac: float, hours: float) -> float:
    """At the building's meter."""
    drawn_kw = owned.power_kw * (owned.idle_power_frac + (1 - owned.idle_power_frac) * busy_frac)
    return machines * drawn_kw * owned.pue * hours


def without_interest(owned: Owned) -> Owned:
    """Plain straight-line depreciation, for comparison."""
    return replace(owned, capital_rate_per_year=0.0)
