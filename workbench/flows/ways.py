"""The ways to pay: prices looked up with their dates, and the bill of a day's replicas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from workbench.economics.cost_spec import CostSpec, OwnedWay, RentedWay
from workbench.economics.owned import Owned, energy_kwh, month
from workbench.economics.rented import Spot, best_mix
from workbench.economics.unit_cost import HOURS_PER_MONTH
from workbench.errors import UsageError
from workbench.hardware.owning import Dated, electricity, facility, server
from workbench.hardware.prices import ApiPrice, MachinePrice, find, machines


@dataclass
class Stale:
    """Every price that was used, and which of them are over a year old."""

    today: date
    used: dict[str, dict[str, Any]] = field(default_factory=dict)

    def look(self, row: Dated | MachinePrice | ApiPrice) -> None:
        self.used[row.name] = {"as_of": row.as_of.isoformat(), "source": row.source, "stale": row.is_stale(self.today)}


@dataclass(frozen=True, slots=True)
class Bill:
    """Of a mean hour, idle time included."""

    usd_per_hour: float
    machines_max: int
    machine_hours_per_day: float
    kwh_per_month: float | None = None
    kg_co2_per_month: float | None = None
    note: str = ""


def rent_of(way: RentedWay, stale: Stale) -> float:
    """USD per hour that is paid for one machine that serves an hour: discount and interruptions included."""
    if way.machine is None:
        assert way.usd_per_hour is not None  # one of the two, as the file was checked
        usd = way.usd_per_hour
    else:
        row = find(machines(), way.machine, "machine")
        stale.look(row)
        usd = _spot_usd(row) if way.kind == "spot" else row.usd_per_hour
    if way.kind == "spot":
        return Spot(usd, way.interruptions_per_hour, way.lost_s).usd_per_served_hour
    return usd * (1 - way.discount_frac)


def _spot_usd(row: MachinePrice) -> float:
    if row.spot_usd_per_hour is None:
        raise UsageError(f"way: machine {row.name!r} has no spot price in the table; give usd_per_hour")
    return row.spot_usd_per_hour


def owned_of(way: OwnedWay, stale: Stale) -> Owned:
    usd, power_kw = way.server_usd, way.power_kw
    if way.server is not None:
        bought = server(way.server)
        stale.look(bought)
        usd, power_kw = bought.usd, way.power_kw or bought.power_kw
    kwh = way.usd_per_kwh
    if way.region is not None:
        price = electricity(way.region)
        stale.look(price)
        kwh = price.usd_per_kwh
    pue = way.pue
    if pue is None:
        usual = facility("pue_average")
        stale.look(usual)
        pue = usual.value
    assert usd is not None  # the file was checked
    return Owned(
        server_usd=usd, network_usd=way.network_usd, storage_usd=way.storage_usd, life_months=way.life_months,
        residual_frac=way.residual_frac, capital_rate_per_year=way.capital_rate_per_year, power_kw=power_kw or 0.0,
        idle_power_frac=way.idle_power_frac, pue=pue, usd_per_kwh=kwh or 0.0,
        colocation_usd_per_kw_month=way.colocation_usd_per_kw_month, staff_usd_per_month=way.staff_usd_per_month,
        maintenance_frac_per_year=way.maintenance_frac_per_year, kg_co2_per_kwh=way.kg_co2_per_kwh,
    )


def machines_of(replicas: Sequence[int], spec: CostSpec) -> list[int]:
    """Whole machines in each part of the day, the spare replicas included."""
    serves = spec.serves
    return [math.ceil((n + serves.spare_replicas) / serves.replicas_per_machine) for n in replicas]


def rented(needed: Sequence[int], _: float, *, rent_usd: float, scaled: bool, cold_start_s: float) -> Bill:
    """The most all day, or what each part needs and every start's idle minutes."""
    if not scaled:
        return Bill(max(needed) * rent_usd, max(needed), 24.0 * max(needed))
    starts = sum(max(0, b - a) for a, b in zip(needed, [*needed[1:], needed[0]], strict=True))
    hours = 24 * sum(needed) / len(needed) + starts * cold_start_s / 3600
    return Bill(hours / 24 * rent_usd, max(needed), hours, note=f"{starts} starts a day")


def reserved(needed: Sequence[int], _: float, *, rent_usd: float, full_usd: float) -> Bill:
    """The cheapest base at the reserved price, the rest of each hour at the full one."""
    mix = best_mix(needed, rent_usd, full_usd)
    return Bill(mix.usd_per_day / 24, max(needed), 24 * mix.reserved + mix.burst_hours,
                note=f"{mix.reserved} reserved, {mix.burst_hours:.3g} machine-hours a day on demand")


def owned(needed: Sequence[int], busy_frac: float, *, what: Owned, burst_usd: float | None) -> Bill:
    """All of them, or the cheapest base with the rest rented by the hour."""
    base, burst_hours, burst = max(needed), 0.0, 0.0
    if burst_usd is not None:
        mix = best_mix(needed, month(what, 1, busy_frac).usd_per_hour, burst_usd)
        base, burst_hours, burst = mix.reserved, mix.burst_hours, mix.burst_hours / 24 * burst_usd
    bill = month(what, base, busy_frac)
    note = f"{base} owned" + (f", {burst_hours:.3g} machine-hours a day rented" if burst_usd is not None else "")
    # rented machines draw as much, at somebody else's meter: counted where the factor is known
    kwh = bill.kwh + energy_kwh(what, 1, busy_frac, burst_hours * HOURS_PER_MONTH / 24)
    co2 = None if what.kg_co2_per_kwh is None else kwh * what.kg_co2_per_kwh
    return Bill(bill.usd_per_hour + burst, max(needed), 24 * base + burst_hours, kwh, co2, note)
