"""The most that replicas can serve of a workload, by simulation: the rate of completions while there is a backlog."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile

from sims.disaggregated import decode_request, prefill_request, transfer_ns
from sims.overheads import Overheads
from sims.replica import IterationTime, Replica, Request
from sims.rules import DisaggregatedRules, EngineRules, Rules
from sims.station import request_of
from workbench.runlog.schema import Planned

BACKLOG = 8  # times what runs at once: enough for the start not to matter


def saturation_rps(
    schedule: Sequence[Planned], profile: IterationTime, rules: Rules, *, replicas: int = 1
) -> float | None:
    """Servable requests per second at which the queue would grow without end; None when nothing can be served.

    What no replica could ever serve is left out. One replica gets the schedule's requests in order, all at once and
    repeated until there are enough; requests that left, per time, from when an eighth of them has left (the batch is
    then mixed) until the queue is empty.
    """
    schedule = servable(schedule, profile, rules)
    if not schedule:
        return None
    if isinstance(rules, DisaggregatedRules):
        return _slower_pool(schedule, profile, rules, replicas)
    return _saturation_rps([request_of(item) for item in schedule], profile, rules, replicas)


def refusals(profile: IterationTime, rules: Rules) -> Callable[[Planned], str | None]:
    """Why no replica can ever serve a request, or None; lengths alone decide."""
    if not isinstance(rules, DisaggregatedRules):
        replica = Replica(rules, profile)
        return lambda item: replica.refusal(request_of(item))
    first, rest = Replica(rules.prefill, profile), Replica(rules.decode, profile)
    return lambda item: first.refusal(prefill_request(item)) or (
        rest.refusal(decode_request(item)) if item.asked_output_tok > 1 else None)


def servable(schedule: Sequence[Planned], profile: IterationTime, rules: Rules) -> Sequence[Planned]:
    """Without the requests that are rejected as they come: they load nothing."""
    why, known = refusals(profile, rules), dict[tuple[int, int], bool]()
    for item in schedule:
        key = item.asked_prompt_tok, item.asked_output_tok
        if key not in known:
            known[key] = why(item) is None
    if all(known.values()):
        return schedule
    return [item for item in schedule if known[item.asked_prompt_tok, item.asked_output_tok]]


def _slower_pool(
    schedule: Sequence[Planned], profile: IterationTime, rules: DisaggregatedRules, replicas: int
) -> float | None:
    """Of the prefill engines, their links and the decode engines, what saturates first."""
    first = _saturation_rps([prefill_request(item) for item in schedule], profile, rules.prefill, rules.prefill_n)
    going_on = [item for item in schedule if item.asked_output_tok > 1]
    found = [first]
    if going_on:
        part = len(schedule) / len(going_on)
        rest = _saturation_rps([decode_request(item) for item in going_on], profile, rules.decode, rules.decode_n)
        busy_ns = sum(transfer_ns(rules, item.asked_prompt_tok) for item in going_on) / len(going_on)
        found += [None if rest is None else rest * part, 1e9 / max(busy_ns, 1) * part * rules.prefill_n]
    known = [rate for rate in found if rate is not None]
    return None if len(known) < len(found) else replicas * min(known)


def _saturation_rps(
    requests: Sequence[Request], profile: IterationTime, rules: EngineRules, replicas: int
) -> float | None:
    """As `saturation_rps`, of one kind of engine; every request can be served."""
    replica = Replica(rules, profile, admit_ns=Overheads.of(profile).admit_ns)
    jobs = _shared(requests)
    want = max(len(jobs) if len(jobs) <= 2_000 else 2_000, BACKLOG * rules.max_running)
    for i in range(want):
        replica.submit(0, replace(jobs[i % len(jobs)], request_id=f"s{i}"))
    now_ns, left, marks = 0, 0, [(0, 0)]  # (time, requests that had left by then)
    while replica.waiting_n and (iteration := replica.step(now_ns)) is not None:
        now_ns = iteration.end_ns
        if iteration.finished:
            left += len(iteration.finished)
            marks.append((now_ns, left))
    mixed = [mark for mark in marks if mark[1] >= want // 8]
    (start_ns, before), (end_ns, after) = (mixed if len(mixed) > 1 else marks)[0], marks[-1]
    return replicas * (after - before) / (end_ns - start_ns) * 1e9 if end_ns > start_ns else None


def _shared(requests: Sequence[Request]) -> list[Request]:
    """Repeated, a request would find all of its own prompt cached: only what it shares with others keeps its ids."""
    count = Counter(number for request in requests for number in request.prefix_ids)
    return [replace(request, prefix_ids=tuple(takewhile(lambda number: count[number] > 1, request.prefix_ids)))
            if request.prefix_ids else request for request in requests]


def arrival_rps(schedule: Sequence[Planned]) -> float | None:
    """Mean rate from the first arrival to the last; None in a closed loop or for fewer than two. Of sessions: that of
    their beginnings, times the turns that each has in the mean."""
    begins = [item for item in schedule if not item.after]
    times = [item.intended_ns for item in begins if item.intended_ns is not None]
    if len(times) < 2 or len(times) < len(begins) or max(times) == min(times):
        return None
    return (len(times) - 1) / (max(times) - min(times)) * 1e9 * len(schedule) / len(begins)
