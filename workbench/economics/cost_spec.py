"""The cost file: a load over the day, a promise, what serves it, and the ways to pay for it."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.economics.plan_spec import ApiSpec, HourUsd, SloSpec
from workbench.workload.lengths import Lengths
from workbench.workload.prefix import SharedPrefix

Usd = Annotated[float, Field(gt=0)]
Frac = Annotated[float, Field(ge=0, le=1)]


class LoadSpec(Settings):
    """Requests over a day: `weights` of equal parts (one part: always the same), `mean_rate_per_s` their mean."""

    mean_rate_per_s: float = Field(gt=0)
    weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(1.0,), min_length=1, max_length=96)
    users: int | None = Field(default=None, ge=1)  # who make that load, for the cost of one
    prompt_tok: Lengths
    output_tok: Lengths
    prefix: SharedPrefix | None = None

    @model_validator(mode="after")
    def _some(self) -> "LoadSpec":
        if not any(self.weights):
            raise ValueError("weights: all are 0: nobody would ever come")
        return self

    def rates_rps(self) -> tuple[float, ...]:
        """Of each part of the day."""
        mean = sum(self.weights) / len(self.weights)
        return tuple(self.mean_rate_per_s * weight / mean for weight in self.weights)


class ServesSpec(Settings):
    """The profile and its batching; replicas on one machine."""

    profile: str
    rules: dict[str, Any] = Field(default_factory=dict)
    replicas_per_machine: int = Field(default=1, ge=1)
    cold_start_s: float = Field(default=120.0, ge=0)  # paid before it serves, where machines come and go
    spare_replicas: int = Field(default=1, ge=0)  # N+1: beyond what the load needs


class RentedWay(Settings):
    """Machines by the hour; `spot` where they can be taken away."""

    kind: Literal["on_demand", "reserved", "spot"]
    name: str
    machine: str | None = None  # a row of datasets/prices/machines.csv
    usd_per_hour: HourUsd | None = None
    interruptions_per_hour: float = Field(default=0.0, ge=0)  # spot
    lost_s: float = Field(default=300.0, ge=0)  # spot
    discount_frac: float = Field(default=0.0, ge=0, lt=1)  # reserved: off the on-demand price

    @model_validator(mode="after")
    def _one_price(self) -> "RentedWay":
        if (self.machine is None) == (self.usd_per_hour is None):
            raise ValueError("give either machine (a row of the price table) or usd_per_hour")
        return self


class OwnedWay(Settings):
    """Machines that are bought; what is left out comes from datasets/prices (docs/economics/cost.md)."""

    kind: Literal["owned"] = "owned"
    name: str
    server: str | None = None  # a row of datasets/prices/servers.csv
    server_usd: Usd | None = None
    power_kw: float | None = Field(default=None, gt=0)
    network_usd: float = Field(default=0.0, ge=0)
    storage_usd: float = Field(default=0.0, ge=0)
    life_months: int = Field(default=36, ge=1)
    residual_frac: Frac = 0.0
    capital_rate_per_year: Frac = 0.08
    idle_power_frac: Frac = 0.3
    pue: float | None = Field(default=None, ge=1)
    region: str | None = None  # of datasets/prices/electricity.csv
    usd_per_kwh: Usd | None = None
    colocation_usd_per_kw_month: float = Field(default=0.0, ge=0)
    staff_usd_per_month: float = Field(default=0.0, ge=0)
    maintenance_frac_per_year: Frac = 0.0
    kg_co2_per_kwh: float | None = Field(default=None, ge=0)
    burst: str | None = None  # the name of an on-demand way: own the base, rent the rest

    @model_validator(mode="after")
    def _priced(self) -> "OwnedWay":
        if (self.server is None) == (self.server_usd is None):
            raise ValueError("give either server (a row of servers.csv) or server_usd with power_kw")
        if self.server_usd is not None and self.power_kw is None:
            raise ValueError("power_kw is missing: what the machine draws at full load")
        if (self.region is None) == (self.usd_per_kwh is None):
            raise ValueError("give either region (a row of electricity.csv) or usd_per_kwh")
        return self


Way = Annotated[RentedWay | OwnedWay, Field(discriminator="kind")]


class CachingApi(ApiSpec):
    """`usd_per_million_cached_tok`: of what its cache finds of the prompts, taken to be as much as ours finds."""

    usd_per_million_cached_tok: Usd | None = None


class CostSpec(Settings):
    """`workbench cost` reads this."""

    title: str = ""
    load: LoadSpec
    slo: SloSpec
    serves: ServesSpec
    way: tuple[Way, ...] = Field(min_length=1)
    api: CachingApi | None = None
    window_s: float = Field(default=300.0, gt=0)  # of each simulation
    seeds: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), min_length=2)
    levels: int = Field(default=6, ge=1, le=96)  # distinct rates that are simulated; the day's are rounded up to them
    max_replicas: int = Field(default=128, ge=1)
    guessed_utilisation_frac: float = Field(default=0.6, gt=0, le=1)  # for the figure that others print

    @model_validator(mode="after")
    def _named(self) -> "CostSpec":
        names = [way.name for way in self.way]
        if len(set(names)) < len(names) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("ways have different names, seeds different numbers")
        rented = {way.name for way in self.way if way.kind == "on_demand"}
        wrong = [way.burst for way in self.way if isinstance(way, OwnedWay) and way.burst not in (None, *rented)]
        if wrong:
            known = ", ".join(sorted(rented)) or "there are none"
            raise ValueError(f"burst: {wrong[0]!r} is none of the on_demand ways: {known}")
        return self
