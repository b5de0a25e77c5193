"""The business file: who pays how much, what they use, what it may run on, and what nobody knows exactly."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.economics.plan_spec import HourUsd

Frac = Annotated[float, Field(ge=0, le=1)]
Usd = Annotated[float, Field(ge=0)]
LARGE = 1e12


class MarketSpec(Settings):
    """Customers: what is there, what comes, what goes."""

    start_users: float = Field(ge=0, le=LARGE)
    new_users_per_month: float = Field(ge=0, le=LARGE)  # in the first month
    growth_frac: float = Field(default=0.0, gt=-1, le=10)  # of those who come, a month
    churn_frac: Frac  # of those who are there, a month
    peak_to_mean: float = Field(default=3.0, ge=1)  # greatest rate of the month over its mean


class TierSpec(Settings):
    """A way to pay and its use; prices per million tokens come from a price book."""

    name: str = Field(min_length=1, max_length=60)
    share_frac: Frac  # of the users
    usd_per_month: Usd = 0.0  # subscription
    usd_per_million_input_tok: Usd = 0.0
    usd_per_million_cached_tok: Usd = 0.0
    usd_per_million_output_tok: Usd = 0.0
    requests_per_month: float = Field(ge=0, le=LARGE)
    prompt_tok: float = Field(ge=0, le=LARGE)
    cached_frac: Frac = 0.0  # of the prompt
    output_tok: float = Field(ge=0, le=LARGE)

    @property
    def usage_usd_per_user(self) -> float:
        """A month's tokens at their prices."""
        prompt = (self.prompt_tok * (1 - self.cached_frac) * self.usd_per_million_input_tok
                  + self.prompt_tok * self.cached_frac * self.usd_per_million_cached_tok)
        return self.requests_per_month * (prompt + self.output_tok * self.usd_per_million_output_tok) / 1e6


class OptionSpec(Settings):
    """What it runs on. owned: machines are bought when they are needed; rented: none; hybrid: `owned_base` of them."""

    name: str = Field(min_length=1, max_length=31)
    kind: Literal["owned", "rented", "hybrid"]
    capacity_rps: float = Field(gt=0, le=LARGE)  # of one machine inside the SLO: from a simulation, never a datasheet
    capacity_source: str = "given"
    machine: str | None = None  # rows of datasets/prices
    server: str | None = None
    usd_per_hour: HourUsd | None = None
    server_usd: float | None = Field(default=None, gt=0)
    power_kw: float | None = Field(default=None, gt=0)
    owned_base: int = Field(default=0, ge=0)
    rented_hours_frac: Frac = 1.0  # of the month, in which the rented machines of a hybrid run

    @model_validator(mode="after")
    def _priced(self) -> "OptionSpec":
        if self.kind != "rented" and (self.server is None) == (self.server_usd is None):
            raise ValueError("give either server (a row of servers.csv) or server_usd with power_kw")
        if self.kind != "owned" and (self.machine is None) == (self.usd_per_hour is None):
            raise ValueError("give either machine (a row of machines.csv) or usd_per_hour")
        if self.server_usd is not None and self.power_kw is None:
            raise ValueError("power_kw is missing: what the machine draws at full load")
        return self


class CostsSpec(Settings):
    """What the machines and the company take beside rent and price."""

    spare_machines: int = Field(default=1, ge=0)
    staff_usd_per_month: Usd = 0.0
    support_usd_per_user: Usd = 0.0  # a month
    payment_fee_frac: Frac = 0.03  # of the revenue
    usd_per_kwh: Usd = 0.10
    pue: float = Field(default=1.5, ge=1)
    idle_power_frac: Frac = 0.3
    colocation_usd_per_kw_month: Usd = 0.0
    maintenance_frac_per_year: Frac = 0.05
    life_months: int = Field(default=36, ge=1)
    residual_frac: Frac = 0.2  # of the price, after that life
    capital_rate_per_year: Frac = 0.10


class UncertainSpec(Settings):
    """An input between `low` and `high`, most likely where the file has it (triangular)."""

    name: str
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> "UncertainSpec":
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low} is not below high {self.high}")
        return self


class TogetherSpec(Settings):
    """Two uncertain inputs that go together: rank correlation of the normal scores behind them."""

    names: tuple[str, str]
    correlation: float = Field(ge=-1, le=1)


class BusinessSpec(Settings):
    """`workbench business` reads this."""

    title: str = ""
    months: int = Field(default=36, ge=2, le=240)
    market: MarketSpec
    tier: tuple[TierSpec, ...] = Field(min_length=1)
    option: tuple[OptionSpec, ...] = Field(min_length=1)
    costs: CostsSpec = CostsSpec()
    uncertain: tuple[UncertainSpec, ...] = ()
    together: tuple[TogetherSpec, ...] = ()
    input_work_frac: float = Field(default=0.17, gt=0)  # engine time of a prompt's token over that of an answer's one
    draws: int = Field(default=2_000, ge=100, le=100_000)
    seed: int = 1

    @model_validator(mode="after")
    def _whole(self) -> "BusinessSpec":
        if abs(sum(one.share_frac for one in self.tier) - 1) > 1e-9:
            raise ValueError("tier: the share_frac of all tiers add up to 1")
        for kind, names in (("tier", [one.name for one in self.tier]), ("option", [one.name for one in self.option]),
                            ("uncertain", [one.name for one in self.uncertain])):
            if len(set(names)) < len(names):
                raise ValueError(f"{kind}: the same name twice; names tell them apart")
        if self.months > self.costs.life_months:
            raise ValueError(f"months: {self.months} is more than life_months {self.costs.life_months}; replacements "
                             "are not modelled")
        known = {one.name for one in self.uncertain}
        for pair in self.together:
            if not set(pair.names) <= known or len(set(pair.names)) < 2:
                raise ValueError(f"together: {pair.names}: name two different ones of [[uncertain]]")
        return self
