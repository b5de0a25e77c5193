"""The plan file: a load, a promise, what to choose from, and an API to compare with."""

import itertools
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from workbench.config import Settings
from workbench.hardware.prices import NOT_OFFERED_USD, ApiPrice, MachinePrice, apis, find, machines
from workbench.metrics import Slo
from workbench.workload.spec import WorkloadSpec

Seconds = Annotated[float, Field(gt=0)]
Usd = Annotated[float, Field(gt=0)]


def _offered(usd_per_hour: float) -> float:
    if usd_per_hour == NOT_OFFERED_USD:
        raise ValueError("means 'not offered' in SkyPilot's catalogs; write what an hour really costs")
    return usd_per_hour


HourUsd = Annotated[float, Field(gt=0), AfterValidator(_offered)]  # of a machine, as somebody typed it


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
    usd_per_hour: HourUsd | None = None
    replicas_per_machine: int = Field(default=1, ge=1)
    rules: dict[str, Any] = Field(default_factory=dict)  # overrides what the profile says of the engine's batching
    queue: str = "fcfs"  # order of release in front of the replicas
    router: str = "least_loaded"
    quality: float | None = None  # higher is better; else [quality] by profile

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


class GridSpec(Settings):
    """Every combination is a candidate: the profile brings model, quantisation and GPU, the machine its price."""

    profile: tuple[str, ...] = Field(min_length=1)
    machine: tuple[str, ...] = ()
    usd_per_hour: tuple[HourUsd, ...] = ()
    rules: tuple[dict[str, Any], ...] = ({},)
    queue: tuple[str, ...] = ("fcfs",)
    router: tuple[str, ...] = ("least_loaded",)
    replicas_per_machine: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _priced(self) -> "GridSpec":
        if not self.machine and not self.usd_per_hour:
            raise ValueError("give machine (rows of the price table), usd_per_hour, or both")
        return self

    def candidates(self) -> list[dict[str, Any]]:
        """As `[[candidate]]` would say them, named after what differs."""
        prices = [{"machine": one} for one in self.machine] + [{"usd_per_hour": one} for one in self.usd_per_hour]
        axes = (self.profile, prices, self.rules, self.queue, self.router)
        many = [len(axis) > 1 for axis in axes]
        found = []
        for profile, price, rules, queue, router in itertools.product(*axes):
            said = (profile.rpartition("/")[2].removesuffix(".json"), _said(price), _said(rules), queue, router)
            name = " ".join(text for i, text in enumerate(said) if text and (i == 0 or many[i]))
            found.append({"name": name[:60], "profile": profile, **price, "rules": rules, "queue": queue,
                          "router": router, "replicas_per_machine": self.replicas_per_machine})
        return found


def _said(values: Mapping[str, Any]) -> str:
    return " ".join(str(value) if key in ("machine", "usd_per_hour") else f"{key}={value}"
                    for key, value in values.items())


class PlanSpec(Settings):
    """`workbench plan` reads this. Every candidate sees the same requests (common random numbers)."""

    title: str = ""
    workload: WorkloadSpec
    slo: SloSpec
    candidate: tuple[CandidateSpec, ...] = ()
    grid: GridSpec | None = None
    quality: dict[str, float] = Field(default_factory=dict)  # by profile as it is named here; higher is better
    min_quality: float | None = None
    api: ApiSpec | None = None
    seeds: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), min_length=2)
    max_replicas: int = Field(default=64, ge=1)
    knee: bool = True  # also find the highest rate that one replica carries

    @property
    def candidates(self) -> tuple[CandidateSpec, ...]:
        """Those that are written out, then the grid's."""
        grid = self.grid.candidates() if self.grid is not None else []
        return (*self.candidate, *(CandidateSpec.model_validate(item) for item in grid))

    @model_validator(mode="after")
    def _distinct(self) -> "PlanSpec":
        if not self.candidates:
            raise ValueError("candidate: there is none; write [[candidate]] or [grid]")
        if len({item.name for item in self.candidates}) < len(self.candidates):
            raise ValueError("two candidates have the same name; names tell them apart")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("the same seed twice is the same run twice; seeds differ")
        return self
