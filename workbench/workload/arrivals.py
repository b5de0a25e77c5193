"""When requests come. Every kind maps one stream of uniforms to gaps, so a changed rate stretches the same arrivals.

Gaps come from the inverse distribution function: Poisson and gamma with cv 1 give the same times to the last bit of
rounding, and burstier variants of a workload stay comparable request by request (common random numbers).
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.workload.varying import Bursts, Diurnal, Floats, Hourly, Rate

NEVER_NS = 2**62  # 146 years: beyond it a time stands for never


class Poisson(Settings):
    """Independent users: exponential gaps, coefficient of variation 1."""

    kind: Literal["poisson"] = "poisson"
    rate_per_s: Rate

    def gaps_s(self, uniform: Floats) -> Floats:
        return np.asarray(-np.log1p(-uniform) / self.rate_per_s, dtype=np.float64)


class Gamma(Settings):
    """Gaps of a gamma distribution: cv > 1 bursty, cv < 1 smoother than Poisson.

    Some load generators call `shape` burstiness; shape = 1 / cv**2. Give one of the two.
    """

    kind: Literal["gamma"] = "gamma"
    rate_per_s: Rate
    cv: float | None = Field(default=None, gt=0)
    shape: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_of(self) -> "Gamma":
        if (self.cv is None) == (self.shape is None):
            raise ValueError("give either cv or shape (shape = 1 / cv**2)")
        return self

    def gaps_s(self, uniform: Floats) -> Floats:
        shape = self.shape if self.shape is not None else 1.0 / (self.cv or 1.0) ** 2
        from scipy import special  # takes 0.1 s to load, and few workloads need it

        return np.asarray(special.gammaincinv(shape, uniform) / (shape * self.rate_per_s), dtype=np.float64)


class Fixed(Settings):
    """One request every 1 / rate seconds, the first at 0."""

    kind: Literal["fixed"] = "fixed"
    rate_per_s: Rate

    def gaps_s(self, uniform: Floats) -> Floats:
        gaps = np.full(len(uniform), 1.0 / self.rate_per_s)
        gaps[:1] = 0.0
        return gaps


class Closed(Settings):
    """No times: a request is sent when one of a fixed number of places is free (the runner says how many)."""

    kind: Literal["closed"] = "closed"


Open = Poisson | Gamma | Fixed | Diurnal | Hourly | Bursts
Arrivals = Annotated[Open | Closed, Field(discriminator="kind")]


def expected_n(arrivals: Open, duration_s: float) -> float:
    """How many requests come in that time, in the mean."""
    if isinstance(arrivals, Diurnal | Hourly | Bursts):
        return arrivals.expected_n(duration_s)
    return arrivals.rate_per_s * duration_s


def times_ns(arrivals: Open, uniform: Floats) -> NDArray[np.int64]:
    """Arrival times since the run's start; the first comes one gap after 0 (fixed rate: at 0). Capped at NEVER_NS."""
    with np.errstate(over="ignore"):
        moments = np.cumsum(arrivals.gaps_s(uniform)) * 1e9
    return np.rint(np.minimum(moments, float(NEVER_NS))).astype(np.int64)
