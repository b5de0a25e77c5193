"""Users who think, ask, wait and think again: throughput and response of one replica that serves many at once.

Exact for a replica that shares its capacity (processor sharing: any distribution) or with exponential times: a chain
of births and deaths whose states are the requests inside. Source: Reiser & Lavenberg, Mean-Value Analysis of Closed
Multichain Queueing Networks (1980), load-dependent stations; Lazowska et al., Quantitative System Performance (1984),
chapter 5 (bounds).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Loop:
    """What `users` see: answers a second, the time of one, and how many requests are inside on average."""

    users: int
    throughput_rps: float
    response_s: float
    inside_mean: float


def solve(users: int, think_s: float, rates_rps: Sequence[float]) -> Loop:
    """`rates_rps[k]`: answers a second with k + 1 requests inside; beyond the last it stays as it is there."""
    if users < 1 or think_s < 0 or not rates_rps or min(rates_rps) <= 0:
        raise UsageError("closed loop: users 1 or more, think_s 0 or more, every rate above 0")
    if think_s == 0:  # everybody is always inside
        rate = rates_rps[min(users, len(rates_rps)) - 1]
        return Loop(users, rate, users / rate, float(users))
    weights, most = [1.0], 1.0
    for inside in range(1, users + 1):
        rate = rates_rps[min(inside, len(rates_rps)) - 1]
        weights.append(weights[-1] * (users - inside + 1) / think_s / rate)
        most = max(most, weights[-1])
        if most > 1e200:  # only ratios count
            weights, most = [weight / most for weight in weights], 1.0
    total = sum(weights)
    throughput = sum(weight * rates_rps[min(k, len(rates_rps)) - 1] for k, weight in enumerate(weights) if k) / total
    inside_mean = sum(k * weight for k, weight in enumerate(weights)) / total
    return Loop(users, throughput, users / throughput - think_s, inside_mean)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Asymptotes of the throughput, and the number of users at which they meet (the knee)."""

    light_rps: float  # nobody ever waits
    heavy_rps: float  # the replica never rests
    knee_users: float

    @property
    def throughput_rps(self) -> float:
        return min(self.light_rps, self.heavy_rps)


def bounds(users: int, think_s: float, alone_s: float, peak_rps: float) -> Bounds:
    """No loop is faster than either, whatever is between them. `alone_s`: the time of a request that is alone."""
    return Bounds(users / (think_s + alone_s), peak_rps, (think_s + alone_s) * peak_rps)
