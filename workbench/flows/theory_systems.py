"""Queueing systems made of the simulator's parts, each with the formulas that say what it should measure.

A request of one output token is one iteration, and its prompt is its service: a replica with one seat is then a
single server of any service distribution. Times below are in mean services; on the clock one is MEAN_TOK tokens.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import theory
from sims.replica import Replica, Request
from sims.rules import VllmRules
from sims.run import simulate
from workbench.control.events import Arrived, Left, Release
from workbench.control.journal import Setup
from workbench.profile.batch import Batch
from workbench.runlog.schema import Planned

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEAN_TOK = 100_000  # long enough that whole tokens are no approximation to speak of
TOKEN_NS = 1_000
WARMUP_FRAC = 0.1  # the first requests find an empty system
SERVER = VllmRules(max_num_seqs=1, max_num_batched_tokens=10**9, kv_blocks=10**9)


@dataclass(frozen=True, slots=True)
class PerToken:
    """Iterations that last as long as their prompt tokens are many."""

    token_ns: int = TOKEN_NS

    def iteration_ns(self, batch: Batch) -> int:
        return self.token_ns * batch.prefill_tok


@dataclass(frozen=True, slots=True)
class Sample:
    """One seed: what was measured, and inputs minus their known means, as control variates."""

    values: Mapping[str, float]
    controls: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Arrivals in ns, services in tokens; class of each request, 0 first served."""

    arrivals_ns: Ints
    services_tok: Ints
    classes: Ints
    controls: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class System:
    """`expected(f)` is what theory says when services are f times as long; `run(drawn, timing)` simulates."""

    name: str
    title: str
    draw: Callable[[np.random.Generator, int], Drawn]
    run: Callable[[Drawn, PerToken, Mapping[str, Any]], Mapping[str, float]]
    expected: Callable[[float], Mapping[str, float]]

    def sample(self, seed: int, requests: int, factor: float = 1.0, **options: Any) -> Sample:
        """`factor` is a deliberate bug: each service takes so many times as long as it should."""
        drawn = self.draw(np.random.default_rng([seed, *self.name.encode()]), requests)
        return Sample(self.run(drawn, PerToken(round(TOKEN_NS * factor)), options), drawn.controls)


def poisson(
    rate: float, service: Callable[[np.random.Generator, int], Floats], second_moment: float = 2.0
) -> Callable[..., Drawn]:
    """Poisson arrivals of one class; `service` draws services of mean 1 and that E[S^2] (exponential: 2)."""
    def draw(rng: np.random.Generator, n: int) -> Drawn:
        gaps, services = rng.exponential(1.0 / rate, n), service(rng, n)
        controls = (gaps.mean() * rate - 1.0, services.mean() - 1.0, (services**2).mean() - second_moment)
        return _drawn(gaps, services, np.zeros(n, dtype=np.int64), controls)
    return draw


def two_classes(rates: Sequence[float], means: Sequence[float]) -> Callable[..., Drawn]:
    """Poisson arrivals of two classes with exponential services of their own means."""
    def draw(rng: np.random.Generator, n: int) -> Drawn:
        whole = sum(rates)
        gaps, low = rng.exponential(1.0 / whole, n), rng.random(n) >= rates[0] / whole
        unit = rng.exponential(1.0, n)
        controls = (gaps.mean() * whole - 1.0, unit[~low].mean() - 1.0, unit[low].mean() - 1.0,
                    low.mean() - rates[1] / whole, (unit**2).mean() - 2.0)
        return _drawn(gaps, unit * np.where(low, means[1], means[0]), low.astype(np.int64), controls)
    return draw


def waits(drawn: Drawn, timing: PerToken, options: Mapping[str, Any], **fleet: Any) -> Floats:
    """Wait of each request until its iteration begins, from a run log, in mean services."""
    schedule = [
        Planned(f"r{i:06d}", at, service, 1, priority=kind) for i, (at, service, kind) in enumerate(zip(
            drawn.arrivals_ns.tolist(), drawn.services_tok.tolist(), drawn.classes.tolist(), strict=True))
    ]
    log = simulate(schedule, timing, fleet.pop("rules", SERVER), keep_journal=False, **fleet, **options).log
    waited: Floats = (log.ints("start_ns") - log.ints("sent_ns")) / float(MEAN_TOK * TOKEN_NS)
    return waited


def queue(servers: int) -> Callable[..., Mapping[str, float]]:
    """`servers` replicas of one seat behind the front door."""
    def run(drawn: Drawn, timing: PerToken, options: Mapping[str, Any]) -> Mapping[str, float]:
        found = settled(waits(drawn, timing, options, replicas=servers, window=1))
        return {"mean_wait": float(found.mean()), "waiting_frac": float((found > 0).mean())}
    return run


def by_priority(drawn: Drawn, timing: PerToken, options: Mapping[str, Any]) -> Mapping[str, float]:
    """One seat, and the order inside the replica by priority."""
    found = waits(drawn, timing, options, rules=replace(SERVER, order="priority"))
    kinds = settled(drawn.classes)
    return {f"mean_wait_{kind}": float(settled(found)[kinds == kind].mean()) for kind in (0, 1)}


def gated(servers: int, places: int) -> Callable[..., Mapping[str, float]]:
    """Replicas of one seat and a front door behind a gate that turns away who finds `places` inside.

    The gate is this function's: no policy of the workbench drops requests yet. Decisions and service are the
    simulator's own.
    """
    def run(drawn: Drawn, timing: PerToken, options: Mapping[str, Any]) -> Mapping[str, float]:  # noqa: ARG001 - one signature for all
        door = Setup(replicas=servers, window=1).front_door()
        engines = [Replica(SERVER, timing) for _ in range(servers)]
        services, lost = drawn.services_tok.tolist(), np.zeros(len(drawn.services_tok), dtype=np.bool_)
        ends: list[tuple[int, str]] = []

        def begin(now_ns: int, decisions: Sequence[Release]) -> None:
            for item in decisions:
                engine = engines[item.replica]
                engine.submit(now_ns, Request(item.request_id, services[int(item.request_id)], 1))
                iteration = engine.step(now_ns)
                assert iteration is not None
                heapq.heappush(ends, (iteration.end_ns, item.request_id))

        inside = 0
        for number, now_ns in enumerate(drawn.arrivals_ns.tolist()):
            while ends and ends[0][0] <= now_ns:
                end_ns, name = heapq.heappop(ends)
                inside -= 1
                begin(end_ns, door.on(end_ns, Left(name)))
            if inside < places:
                inside += 1
                begin(now_ns, door.on(now_ns, Arrived(str(number), services[number], services[number])))
            else:
                lost[number] = True
        return {"lost_frac": float(settled(lost).mean())}
    return run


def settled(values: Any) -> Any:
    return values[round(WARMUP_FRAC * len(values)):]


def _drawn(gaps: Floats, services: Floats, classes: Ints, controls: Sequence[float]) -> Drawn:
    return Drawn(
        np.rint(np.cumsum(gaps) * MEAN_TOK * TOKEN_NS).astype(np.int64),
        np.maximum(1, np.rint(services * MEAN_TOK)).astype(np.int64), classes, tuple(float(item) for item in controls),
    )


def _exponential(rng: np.random.Generator, n: int) -> Floats:
    return rng.exponential(1.0, n)


def _constant(_: np.random.Generator, n: int) -> Floats:
    return np.ones(n)


def _two_point(rng: np.random.Generator, n: int) -> Floats:
    """0.5 or 2.0 with mean 1: E[S^2] = 1.5."""
    return np.where(rng.random(n) < 1 / 3, 2.0, 0.5)


RATES, MEANS = (0.25, 0.2), (0.8, 1.25)  # of the two classes: load 0.45

SYSTEMS: tuple[System, ...] = (
    System("md1", "M/D/1 at load 0.6, Pollaczek-Khinchine", poisson(0.6, _constant, 1.0), queue(1),
           lambda f: {"mean_wait": theory.pollaczek_khinchine(0.6, f, f * f), "waiting_frac": 0.6 * f}),
    System("mg1", "M/G/1 at load 0.6, services 0.5 or 2, Pollaczek-Khinchine", poisson(0.6, _two_point, 1.5), queue(1),
           lambda f: {"mean_wait": theory.pollaczek_khinchine(0.6, f, 1.5 * f * f), "waiting_frac": 0.6 * f}),
    System("mm3", "M/M/3 at load 0.6, Erlang C", poisson(1.8, _exponential), queue(3),
           lambda f: {"mean_wait": theory.mmc_wait(3, 1.8, f), "waiting_frac": theory.erlang_c(3, 1.8 * f)}),
    System("mm3loss", "M/M/3/3 at 2.4 Erlang, Erlang B", poisson(2.4, _exponential), gated(3, 3),
           lambda f: {"lost_frac": theory.erlang_b(3, 2.4 * f)}),
    System("mm1k", "M/M/1/4 at load 0.8", poisson(0.8, _exponential), gated(1, 4),
           lambda f: {"lost_frac": theory.mm1k_loss(4, 0.8 * f)}),
    System("cobham", "M/M/1 with two non-preemptive priorities, Cobham", two_classes(RATES, MEANS), by_priority,
           lambda f: dict(zip(("mean_wait_0", "mean_wait_1"), theory.cobham(
               RATES, [f * m for m in MEANS], [2 * (f * m) ** 2 for m in MEANS]), strict=True))),
)
