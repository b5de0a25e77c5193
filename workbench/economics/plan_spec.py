"""The plan file: a load, a promise, what to choose from, and an API to compare with."""

from datetime import date
from typing import Annotated, Any

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.hardware.prices import ApiPrice, MachinePrice, apis, find, machines
from workbench.metrics import Slo
from workbench.workload.spec import WorkloadSpec

Seconds = Annotated[float, Field(gt=0)]
Usd = Annotated[float, Field(gt=0)]


class SloSpec(Settings):
    """What a request must meet, and which share of all requests must meet it."""

    ttft_s: Seconds | None = None
    tpot_s: Seconds | None = None
    e2e_s: Seconds | None = None
    attainment_frac: float = Field(default=0.95, gt=0, le=1)

    @model_validator(mode="after")
    def _promises_something(self) -> "SloSpec":
        if self.ttft_s is None and self.tpot_s is None and self.e2e_s is None:
            raise ValueError("give at least one of ttft_s, tpot_s, e2e_s")
        return self

    def as_slo(self) -> Slo:
        return Slo(self.ttft_s, self.tpot_s, self.e2e_s)


class CandidateSpec(Settings):
    """One way to serve: a profile (engine, model, quantisation, hardware) on machines of a price.

    The price comes from `machine`, a row of datasets/prices/machines.csv, or from `usd_per_hour` of one machine.
    """

    name: str = Field(min_length=1, max_length=60)
    profile: str
    machine: str | None = None
    usd_per_hour: Usd | None = None
    replicas_per_machine: int = Field(default=1, ge=1)
    rules: dict[str, Any] = Field(default_factory=dict)  # overrides what the profile says of the engine's batching

    @model_validator(mode="after")
    def _one_price(self) -> "CandidateSpec":
        if (self.machine is None) == (self.usd_per_hour is None):
            raise ValueError("give either machine (a row of the price table) or usd_per_hour")
        return self

    def price(self, today: date) -> MachinePrice:
        """The row, or one made of what the user typed."""
        if self.machine is not None:
            return find(machines(), self.machine, "machine")
        assert self.usd_per_hour is not None
        return MachinePrice("given", self.usd_per_hour, today, "given", "plan file: usd_per_hour")


class ApiSpec(Settings):
    """What the same tokens cost elsewhere: a row of datasets/prices/apis.csv by name, or both prices."""

    name: str
    usd_per_million_input_tok: Usd | None = None
    usd_per_million_output_tok: Usd | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "ApiSpec":
        if (self.usd_per_million_input_tok is None) != (self.usd_per_million_output_tok is None):
            raise ValueError("give both usd_per_million_input_tok and usd_per_million_output_tok, or neither")
        return self

    def price(self, today: date) -> ApiPrice:
        if self.usd_per_million_input_tok is None or self.usd_per_million_output_tok is None:
            return find(apis(), self.name, "API")
        return ApiPrice(self.name, self.usd_per_million_input_tok, self.usd_per_million_output_tok, today, "given",
                        "plan file: api")


class PlanSpec(Settings):
    """`workbench plan` reads this. Every candidate sees the same requests (common random numbers)."""

    title: str = ""
    workload: WorkloadSpec
    slo: SloSpec
    candidate: tuple[CandidateSpec, ...] = Field(min_length=1)
    api: ApiSpec | None = None
    seeds: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), min_length=2)
    max_replicas: int = Field(default=64, ge=1)
    knee: bool = True  # also find the highest rate that one replica carries

    @model_validator(mode="after")
    def _distinct(self) -> "PlanSpec":
        if len({item.name for item in self.candidate}) < len(self.candidate):
            raise ValueError("two candidates have the same name; names tell them apart")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("the same seed twice is the same run twice; seeds differ")
        return self
