"""Chapter 13: how much KV cache may be promised twice, and whom a guarantee protects."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.chapters.about import within
from workbench.control.resources.allocator import PPM, Allocator
from workbench.control.resources.holding import Grant
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval

CAPACITY_TOK = 100_000  # the KV cache of a small replica
LOUD_FRAC = 5 / 6
STEPS = 8  # at so many points of its life a request says how much it uses
FACTORS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
TENANTS = ("acme", "lab")
FIGURES = {"used": "capacity in use", "refused": "refused at the door", "evicted": "evicted in the middle",
           "finished": "finished"}


@dataclass(frozen=True, slots=True)
class Request:
    """Reserves prompt and the most output; uses what its answer really needs."""

    at_s: float
    lasts_s: float
    tenant: str
    prompt_tok: int
    most_tok: int
    output_tok: int


def draw(rate_per_s: float, needs_frac: float, horizon_s: float, seed: int, lab_frac: float = 0.5) -> list[Request]:
    """Poisson arrivals; answers need on average `needs_frac` of the most they might."""
    rng = np.random.default_rng(seed)
    at_s = np.cumsum(rng.exponential(1 / rate_per_s, round(rate_per_s * horizon_s)))
    found = []
    for when in at_s:
        most = 2000
        output = max(1, round(most * float(rng.beta(2.0, 2.0 / needs_frac - 2.0))))
        found.append(Request(float(when), output * 0.02, TENANTS[int(rng.random() < lab_frac)],
                             int(rng.integers(200, 2000)), most, output))
    return found


def serve(requests: Sequence[Request], factor: float, guarantees: Mapping[str, int] | None = None) -> dict[str, float]:
    """Counts of what happened to them, by tenant too (`finished lab`), and the mean of the capacity in use."""
    pool = Allocator(CAPACITY_TOK, round(factor * PPM), guarantees)
    counts: Counter[str] = Counter()
    events = [(item.at_s, number, 0) for number, item in enumerate(requests)]  # (when, which, step)
    heapq.heapify(events)
    used_s, last_s, now_s = 0.0, 0.0, 0.0

    def gone(evicted: Sequence[object]) -> None:
        for one in evicted:
            counts["evicted"] += 1
            counts[f"evicted {one.tenant}"] += 1  # type: ignore[attr-defined]

    while events:
        now_s, number, step = heapq.heappop(events)
        used_s, last_s = used_s + pool.books.used * (now_s - last_s), now_s
        item, name, now_ns = requests[number], str(number), round(now_s * 1e9)
        if step == 0:
            counts[f"arrived {item.tenant}"] += 1
            answer = pool.reserve(now_ns, name, item.tenant, item.prompt_tok + item.most_tok, used=item.prompt_tok)
            if not isinstance(answer, Grant):
                counts["refused"] += 1
                counts[f"refused {item.tenant}"] += 1
                continue
            gone(answer.evicted)
        elif pool.get(name) is None:
            continue  # evicted meanwhile
        elif step < STEPS:
            gone(pool.grow(now_ns, name, item.prompt_tok + item.output_tok * step // STEPS))
        if step < STEPS:
            heapq.heappush(events, (now_s + item.lasts_s / STEPS, number, step + 1))
        elif pool.get(name) is not None:
            pool.release(now_ns, name)
            counts["finished"] += 1
            counts[f"finished {item.tenant}"] += 1
    arrived = len(requests)
    shares = {key: counts[key] / arrived for key in ("refused", "evicted", "finished")}
    of = {f"finished {who}": counts[f"finished {who}"] / max(1, counts[f"arrived {who}"]) for who in TENANTS}
    return {"used": used_s / now_s / CAPACITY_TOK, **shares, **of}


@dataclass(frozen=True)
class Overcommit:
    """By factor: each figure's interval over the seeds."""

    factors: tuple[float, ...]
    figures: Mapping[str, tuple[Interval, ...]]
    seeds: int
    requests: int

    @property
    def best(self) -> int:
        """Where most are finished."""
        return int(np.argmax([item.mean for item in self.figures["finished"]]))


def overcommit(rate_per_s: float, needs_frac: float, seeds: int, quick: bool) -> Overcommit:
    """Raises UsageError."""
    within("rate_per_s", rate_per_s, 0.1, 100.0)
    within("needs_frac", needs_frac, 0.05, 0.9)
    within("seeds", seeds, 2, 100)
    factors, horizon_s = (FACTORS[::2], 60.0) if quick else (FACTORS, 300.0)
    drawn = [draw(rate_per_s, needs_frac, horizon_s, seed) for seed in range(1, (3 if quick else seeds) + 1)]
    runs = {factor: [serve(requests, factor) for requests in drawn] for factor in factors}
    return Overcommit(factors, {
        name: tuple(t_interval(np.array([run[name] for run in runs[factor]])) for factor in factors)
        for name in FIGURES}, len(drawn), len(drawn[0]))


def overcommit_chart(found: Overcommit) -> Chart:
    series = tuple(
        Series(label, found.factors, tuple(item.mean for item in found.figures[name]), "simulated", "line", i,
               tuple(max(item.low, 0.0) for item in found.figures[name]),
               tuple(item.high for item in found.figures[name]))
        for i, (name, label) in enumerate(FIGURES.items()))
    return Chart(
        "overcommit", "promised (multiple of the capacity)",
        (Panel("share of requests", series[1:]), Panel("share of the capacity in use", series[:1])),
        f"A KV cache of {CAPACITY_TOK:,} tokens; each request reserves prompt and the most that it may answer.",
        f"n = {found.seeds} seeds of {found.requests} requests, whiskers are 95 % intervals of the mean",
        "Two panels over how much more than the capacity is promised: fewer are refused, more are evicted in the "
        "middle, and more of the memory is in use.",
    )


def guarantee_table(rate_per_s: float, needs_frac: float, quick: bool) -> Table:
    """`lab` sends five requests in six and too many of them, with and without a guarantee for `acme`."""
    loud = draw(2 * rate_per_s, needs_frac, 30.0 if quick else 120.0, 1, LOUD_FRAC)
    kinds: dict[str, dict[str, int]] = {"none": {}, "acme 30 %": {"acme": CAPACITY_TOK * 3 // 10},
                                        "acme 60 %": {"acme": CAPACITY_TOK * 3 // 5}}
    rows = []
    for name, guarantees in kinds.items():
        run = serve(loud, 1.5, guarantees)
        rows.append((name, *(percent(run[f"finished {who}"]) for who in TENANTS), percent(run["evicted"]),
                     percent(run["used"])))
    return Table(("guarantee", "acme finished", "lab finished", "evicted", "capacity in use"), tuple(rows),
                 f"Simulated by the policy itself; one and a half times the capacity is promised. n = {len(loud)} "
                 "requests, seed 1.")


def numbers(found: Overcommit) -> Results:
    return Results(tuple(
        Result(f"{name}_frac_promised_{factor:g}", item.mean, "", "simulated", item.n, item.low, item.high)
        for name in FIGURES for factor, item in zip(found.factors, found.figures[name], strict=True)))


def answer(found: Overcommit) -> Prose:
    best, plain = found.best, 0
    done, evicted = found.figures["finished"], found.figures["evicted"]
    return Prose(
        f"Most requests finish when {found.factors[best]:g} times the capacity is promised: {_said(done[best])} of "
        f"them, against {_said(done[plain])} when nothing is promised twice; {_said(evicted[best])} are then thrown "
        "out in the middle and must be computed again."
    )


def _said(item: Interval) -> str:
    return f"{percent(item.mean)} ({number(100 * max(item.low, 0.0))} to {number(100 * min(item.high, 1.0))})"
