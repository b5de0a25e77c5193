"""The most that replicas can serve of a workload, by simulation: the rate of completions while there is a backlog."""

from collections.abc import Sequence

from sims.overheads import Overheads
from sims.replica import IterationTime, Replica, Request
from sims.rules import Rules
from workbench.runlog.schema import Planned

BACKLOG = 8  # times what runs at once: enough for the start not to matter


def saturation_rps(
    schedule: Sequence[Planned], profile: IterationTime, rules: Rules, *, replicas: int = 1
) -> float | None:
    """Requests per second at which the queue would grow without end; None when nothing can be served.

    One replica gets the schedule's requests in order, all at once and repeated until there are enough; requests
    that left, per time, from when an eighth of them has left (the batch is then mixed) until the queue is empty.
    """
    replica = Replica(rules, profile, admit_ns=Overheads.of(profile).admit_ns)
    jobs = [Request("", item.asked_prompt_tok, item.asked_output_tok) for item in schedule]
    jobs = [job for job in jobs if replica.refusal(job) is None]
    if not jobs:
        return None
    want = max(len(jobs) if len(jobs) <= 2_000 else 2_000, BACKLOG * rules.max_running)
    for i in range(want):
        job = jobs[i % len(jobs)]
        replica.submit(0, Request(f"s{i}", job.prompt_tok, job.output_tok))
    now_ns, left, marks = 0, 0, [(0, 0)]  # (time, requests that had left by then)
    while replica.waiting_n and (iteration := replica.step(now_ns)) is not None:
        now_ns = iteration.end_ns
        if iteration.finished:
            left += len(iteration.finished)
            marks.append((now_ns, left))
    mixed = [mark for mark in marks if mark[1] >= want // 8]
    (start_ns, before), (end_ns, after) = (mixed if len(mixed) > 1 else marks)[0], marks[-1]
    return replicas * (after - before) / (end_ns - start_ns) * 1e9 if end_ns > start_ns else None


def arrival_rps(schedule: Sequence[Planned]) -> float | None:
    """Mean rate from the first arrival to the last; None in a closed loop or for fewer than two."""
    times = [item.intended_ns for item in schedule if item.intended_ns is not None]
    if len(times) < 2 or len(times) < len(schedule) or max(times) == min(times):
        return None
    return (len(times) - 1) / (max(times) - min(times)) * 1e9
