"""The capacity file: a load over the day, a promise, a profile; and what may fail, think, scale and be forecast."""

from typing import Any

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.economics.cost_spec import LoadSpec, ServesSpec
from workbench.economics.plan_spec import SloSpec


class SessionSpec(Settings):
    """People in a dialogue: they think (exponential times of this mean), ask, read the whole answer, think again."""

    think_s: float = Field(gt=0)
    requests_per_user: int = Field(default=10, ge=4)  # the run lasts as long as so many times to think
    most_users: int = Field(default=2_000, ge=1)  # of one replica, tried


class ScalerSpec(Settings):
    """An autoscaler to compare with a fixed fleet: a policy of docs/control/capacity.md."""

    name: str
    policy: dict[str, Any]
    every_s: float = Field(default=15.0, gt=0)
    in_s: float = Field(default=300.0, ge=0)  # stabilisation before it scales in
    least: int = Field(default=1, ge=1)


class ForecastSpec(Settings):
    """Requests a slot, one number a line (or a column of a CSV file), over several seasons; or a run log, whose
    arrivals are counted."""

    file: str
    column: str | None = None
    slot_s: float = Field(default=3600.0, gt=0)
    season_slots: int = Field(default=24, ge=2)


class CapacitySpec(Settings):
    """`workbench capacity` reads this."""

    title: str = ""
    load: LoadSpec
    slo: SloSpec
    serves: ServesSpec
    down: int = Field(default=1, ge=0)  # replicas that fail together
    session: SessionSpec | None = None
    scaler: tuple[ScalerSpec, ...] = ()
    forecast: ForecastSpec | None = None
    day_s: float = Field(default=86_400.0, gt=0)  # a day squeezed into less, where autoscalers are compared
    window_s: float = Field(default=120.0, gt=0)
    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=2)
    max_replicas: int = Field(default=128, ge=1)

    @model_validator(mode="after")
    def _distinct(self) -> "CapacitySpec":
        if len({one.name for one in self.scaler}) < len(self.scaler) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("scalers have different names, seeds different numbers")
        return self
