"""What queueing theory says of systems that the simulator can be set up to be. Pure functions.

Times are in any one unit, rates per that unit. Sources: Kleinrock, Queueing Systems I (1975), equations in
brackets; Cobham, Priority assignment in waiting line problems, Operations Research 2 (1954).
"""

import math
from collections.abc import Sequence


def erlang_b(servers: int, offered: float) -> float:
    """Fraction of arrivals lost by M/G/c/c, `offered` = rate x mean service in Erlang; Erlang's recursion [3.44]."""
    lost = 1.0
    for n in range(1, servers + 1):
        lost = offered * lost / (n + offered * lost)
    return lost


def erlang_c(servers: int, offered: float) -> float:
    """Fraction of arrivals that wait in M/M/c [3.40], from Erlang B; needs offered < servers."""
    _stable(offered / servers)
    lost = erlang_b(servers, offered)
    return lost / (1.0 - offered / servers * (1.0 - lost))


def mmc_wait(servers: int, rate: float, mean_service: float) -> float:
    """Mean wait in M/M/c."""
    offered = rate * mean_service
    return erlang_c(servers, offered) * mean_service / (servers - offered)


def mm1k_loss(places: int, load: float) -> float:
    """Fraction of arrivals lost by M/M/1/K: `places` counts the one in service [3.22]."""
    return load**places / math.fsum(load**n for n in range(places + 1))


def pollaczek_khinchine(rate: float, mean_service: float, second_moment: float) -> float:
    """Mean wait in M/G/1, first come first served [5.61]; `second_moment` is E[service^2]."""
    _stable(rate * mean_service)
    return rate * second_moment / (2.0 * (1.0 - rate * mean_service))


def cobham(rates: Sequence[float], means: Sequence[float], second_moments: Sequence[float]) -> list[float]:
    """Mean wait of each class of M/G/1 with non-preemptive priorities, the first class served first."""
    loads = [rate * mean for rate, mean in zip(rates, means, strict=True)]
    _stable(math.fsum(loads))
    residual = math.fsum(rate * second for rate, second in zip(rates, second_moments, strict=True)) / 2.0
    above = [math.fsum(loads[:n]) for n in range(len(loads) + 1)]
    return [residual / ((1.0 - above[n]) * (1.0 - above[n + 1])) for n in range(len(loads))]


def _stable(load: float) -> None:
    if not 0.0 <= load < 1.0:
        raise ValueError(f"load {load}: these formulas hold from 0 to below 1")
