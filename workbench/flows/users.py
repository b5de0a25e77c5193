"""How many people one replica serves: simulated in a closed loop, beside what queueing theory says."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from sims.run import simulate
from workbench.economics.capacity_spec import SessionSpec
from workbench.economics.closed_loop import bounds, solve
from workbench.flows.trial import Bench, attainment
from workbench.metrics import describe, values
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog
from workbench.stats.intervals import Interval, t_interval

LEVELS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # requests inside at which the rate is measured
THINK = 6  # number of the stream that think times are drawn from
NS = 1e9


def users_per_replica(bench: Bench, session: SessionSpec, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The most users of one replica whose whole interval keeps the SLO (to a fiftieth), and theory for as many."""
    tried: dict[int, dict[str, Any]] = {}

    def meets(users: int) -> bool:
        tried[users] = loop(bench, session, seeds, users)
        return bool(tried[users]["met"])

    rates = rates_inside(bench)
    alone = describe(values(bench.alone_log, "e2e_s"))["mean"]
    assert alone is not None  # a lone request ends
    knee = bounds(1, session.think_s, float(alone), max(rates)).knee_users
    low, high = bracket(meets, min(session.most_users, max(1, round(knee))), session.most_users)
    found: dict[str, Any] = {"users": low, "at_limit": high is None, "simulated": tried.get(low),
                             "too_many": None if high is None else tried[high], "theory": None, "bounds": None}
    if low:
        found |= {"theory": asdict(solve(low, session.think_s, rates)),
                  "bounds": asdict(bounds(low, session.think_s, float(alone), max(rates)))}
    return found


def bracket(meets: Callable[[int], bool], guess: int, limit: int) -> tuple[int, int | None]:
    """A number that meets (0: none does) and one above it, by no more than a fiftieth, that does not (None: limit)."""
    low, high = 0, guess
    while meets(high):
        if high >= limit:
            return high, None
        low, high = high, min(2 * high, limit)
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        if meets(middle):
            low = middle
        else:
            high = middle
    return low, high


def loop(bench: Bench, session: SessionSpec, seeds: tuple[int, ...], users: int) -> dict[str, Any]:
    """So many users on one replica, for a while; what counts was sent after a fifth of it and before its last tenth."""
    horizon_s = session.think_s * session.requests_per_user
    held, rate, response = [], [], []
    for seed, schedule in zip(seeds, bench.schedules, strict=True):
        jobs = dialogues(schedule, session, users, seed)
        log = simulate(jobs, bench.profile, bench.rules, keep_journal=False, horizon_ns=round(horizon_s * NS)).log
        sent, end = log.floats("sent_ns") / NS, log.floats("end_ns") / NS
        first_s, last_s = 0.2 * horizon_s, 0.9 * horizon_s
        counted = log.where(np.asarray((sent >= first_s) & (sent < last_s)))
        held.append(attainment(counted, bench.slo))
        rate.append(float(((end >= first_s) & (end < last_s)).sum()) / (last_s - first_s))
        response.append(describe(values(counted, "e2e_s"))["mean"] or 0.0)
    inside = t_interval(np.array(held))
    return {"users": users, "met": inside.low >= bench.target_frac, "attainment_frac": _interval(inside),
            "throughput_rps": _interval(t_interval(np.array(rate))),
            "response_s": _interval(t_interval(np.array(response)))}


def dialogues(schedule: Sequence[Planned], session: SessionSpec, users: int, seed: int) -> list[Planned]:
    """Every user's requests, each after the answer to the one before and a time to think; lengths as drawn, in turn.

    So many of each that nobody is through before the end: turns that fit are Poisson at most.
    """
    turns = 2 * session.requests_per_user + 20
    think = np.random.default_rng([seed, THINK]).exponential(session.think_s * NS, (users, turns))
    think[think.cumsum(axis=1) > session.think_s * session.requests_per_user * NS] = np.inf
    found = []
    for turn in range(turns):
        for user in range(users):
            if not np.isfinite(think[user, turn]):
                continue  # it would come after the end, however fast the answers
            drawn, pause_ns = schedule[(turn * users + user) % len(schedule)], int(think[user, turn])
            found.append(Planned(
                f"u{user}-{turn}", None if turn else pause_ns, drawn.asked_prompt_tok, drawn.asked_output_tok,
                after=f"u{user}-{turn - 1}" if turn else "", think_ns=pause_ns if turn else 0))
    return found


def rates_inside(bench: Bench) -> list[float]:
    """Answers a second with 1, 2, 3 ... requests inside, measured at a few numbers and joined by straight lines."""
    most = bench.rules.max_running
    levels = [n for n in LEVELS if n < most] + [min(most, 2 * LEVELS[-1])]
    measured = []
    for n in levels:
        drawn = bench.schedules[0]
        jobs = [replace(drawn[i % len(drawn)], request_id=f"u{i}", intended_ns=None, prefix_ids=(), prefix_tok=0)
                for i in range(max(400, 20 * n))]
        log = simulate(jobs, bench.profile, bench.rules, concurrency=n, keep_journal=False).log
        measured.append(_steady_rps(log, 2 * n, n))
    return [float(x) for x in np.interp(np.arange(1, levels[-1] + 1), levels, measured)]


def _steady_rps(log: RunLog, first: int, last: int) -> float:
    """Answers a second without the first and last so many: all users are there in between."""
    ends = np.sort(log.ok.floats("end_ns"))[first : len(log) - last]
    return float((len(ends) - 1) / (ends[-1] - ends[0]) * NS)


def _interval(found: Interval) -> dict[str, float]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}
