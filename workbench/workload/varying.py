"""Arrivals whose rate changes: over the day, by the hour, in bursts.

A process of rate 1 (gaps of coefficient of variation `cv`) runs on a clock of its own; request n comes when the
expected number of requests has grown to that clock's n-th moment. So variants read the same uniforms, and where the
rate is constant the times are those of the plain kinds.
"""

import math
from abc import abstractmethod
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from workbench.config import Settings

Rate = Annotated[float, Field(gt=0, description="requests per second")]
Floats = NDArray[np.float64]
DAY_S = 86_400.0
HALVINGS = 64  # of an interval, until a float says no more


class Varying(Settings):
    """What all of them share: the clock of rate 1."""

    rate_per_s: Rate
    cv: float = Field(default=1.0, gt=0, le=100)  # of the gaps, where the rate is constant

    @abstractmethod
    def until_s(self, expected: Floats) -> Floats:
        """When so many requests are expected to have come."""

    def gaps_s(self, uniform: Floats) -> Floats:
        gaps = -np.log1p(-uniform) if self.cv == 1.0 else self._uneven(uniform)
        return np.diff(self.until_s(np.cumsum(np.asarray(gaps, dtype=np.float64))), prepend=0.0)

    def _uneven(self, uniform: Floats) -> Floats:
        from scipy import special  # takes 0.1 s to load, and few workloads need it

        shape = 1.0 / self.cv**2
        return np.asarray(special.gammaincinv(shape, uniform) / shape, dtype=np.float64)


class Diurnal(Varying):
    """A sine around `rate_per_s`: (1 + swing) times that at `peak_s` and a `period_s` later, (1 - swing) between."""

    kind: Literal["diurnal"] = "diurnal"
    swing_frac: float = Field(ge=0, le=1)
    period_s: float = Field(default=DAY_S, gt=0)
    peak_s: float = Field(default=DAY_S / 2, ge=0)

    def expected_n(self, duration_s: float) -> float:
        return float(self._expected(np.array([duration_s]))[0])

    def _expected(self, at_s: Floats) -> Floats:
        turn = 2 * math.pi / self.period_s
        wave = np.sin(turn * (at_s - self.peak_s)) + math.sin(turn * self.peak_s)
        return np.asarray(self.rate_per_s * (at_s + self.swing_frac / turn * wave), dtype=np.float64)

    def until_s(self, expected: Floats) -> Floats:
        off_s = self.swing_frac * self.period_s / math.pi
        low, high = np.maximum(expected / self.rate_per_s - off_s, 0.0), expected / self.rate_per_s + off_s
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            late = self._expected(middle) >= expected
            low, high = np.where(late, low, middle), np.where(late, middle, high)
        return np.asarray(high, dtype=np.float64)


class Hourly(Varying):
    """A profile: `weights` of equal parts of the `period_s`, over and over; `rate_per_s` is the mean."""

    kind: Literal["hourly"] = "hourly"
    weights: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] = Field(min_length=1, max_length=10_000)
    period_s: float = Field(default=DAY_S, gt=0)

    @model_validator(mode="after")
    def _some(self) -> "Hourly":
        if not any(self.weights):
            raise ValueError("weights: all are 0: nobody would ever come")
        return self

    def _parts(self) -> tuple[Floats, Floats]:
        """Where the parts begin, and the rate in each."""
        n = len(self.weights)
        rates = np.asarray(self.weights) * (self.rate_per_s * n / sum(self.weights))
        return np.asarray(np.arange(n) * (self.period_s / n), dtype=np.float64), np.asarray(rates, dtype=np.float64)

    def expected_n(self, duration_s: float) -> float:
        periods, rest_s = divmod(duration_s, self.period_s)
        starts, rates = self._parts()
        inside = np.clip(rest_s - starts, 0.0, self.period_s / len(rates))
        return periods * self.rate_per_s * self.period_s + float((inside * rates).sum())

    def until_s(self, expected: Floats) -> Floats:
        each = self.rate_per_s * self.period_s
        periods = np.floor(expected / each)
        inside = np.maximum(expected - periods * each, 0.0)
        return np.asarray(periods * self.period_s + _inverse(*self._parts(), inside))


class Burst(Settings):
    """From `at_s` on, for so long, this rate in place of the usual one; 0 is silence."""

    at_s: float = Field(ge=0)
    for_s: float = Field(gt=0)
    rate_per_s: float = Field(ge=0)


class Bursts(Varying):
    """`rate_per_s`, but for the `bursts`: a flash crowd, a nightly job, an outage upstream."""

    kind: Literal["bursts"] = "bursts"
    bursts: tuple[Burst, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _apart(self) -> "Bursts":
        for before, after in zip(self.bursts, self.bursts[1:], strict=False):
            if after.at_s < before.at_s + before.for_s:
                raise ValueError(f"bursts: the one at {after.at_s} s begins before the one before it is over")
        return self

    def _parts(self) -> tuple[Floats, Floats]:
        starts, rates = [0.0], [self.rate_per_s]
        for one in self.bursts:
            starts += [one.at_s, one.at_s + one.for_s]
            rates += [one.rate_per_s, self.rate_per_s]
        return np.asarray(starts), np.asarray(rates)

    def expected_n(self, duration_s: float) -> float:
        starts, rates = self._parts()
        ends = np.append(starts[1:], np.inf)
        return float((np.clip(duration_s - starts, 0.0, ends - starts) * rates).sum())

    def until_s(self, expected: Floats) -> Floats:
        return _inverse(*self._parts(), expected)


def _inverse(starts_s: Floats, rates: Floats, expected: Floats) -> Floats:
    """When a rate that is constant between `starts_s` has brought so many."""
    before = np.concatenate(([0.0], np.cumsum(np.diff(starts_s) * rates[:-1])))
    part = np.searchsorted(before, expected, side="right") - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        later_s = np.where(rates[part] > 0, (expected - before[part]) / rates[part], 0.0)
    return np.asarray(starts_s[part] + later_s, dtype=np.float64)
