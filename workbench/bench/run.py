"""A run: a schedule and its prompts in, sent by one or several workers; a run log out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.bench.crew import Progress, work
from workbench.bench.judge import Limits, together, unjudged
from workbench.bench.pileup import PileUp
from workbench.bench.plan import Plan
from workbench.bench.request import Prompt
from workbench.bench.target import Target
from workbench.errors import Failure, UsageError
from workbench.runlog.part import PartWriter, part_path, read_part
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned, chains

if TYPE_CHECKING:
    from workbench.runlog.table import RunLog


def run(
    target: Target, schedule: Sequence[Planned], prompts: Sequence[Prompt], final: Path, provenance: Provenance, *,
    concurrency: int | None = None, stagger_s: float = 0.2, limits: Limits | None = None,
    on_progress: Progress | None = None, loop: str = "uvloop", workers: int = 1, stop_over_saturation: bool = False,
) -> "RunLog":
    """Send the schedule and return its log, which then lies at `final` (a .parquet file).

    `concurrency` None sends at the intended times (open loop); a number keeps that many in flight. Every planned
    request is a row, also when the run is cut short: on Ctrl-C or SIGTERM the log is written, marked partial, and
    KeyboardInterrupt is raised; when a worker dies, likewise, with Failure. Of several workers each sends every
    so-manieth request, on one clock. With `stop_over_saturation` an open loop ends early where answers pile up beyond
    saving: the log is partial and its `client` says `over_saturated`.
    """
    _check(schedule, prompts, final, concurrency, stagger_s, workers)
    plan = Plan.of(
        target, schedule, prompts, part=part_path(final), provenance=provenance, concurrency=concurrency,
        stagger_s=stagger_s, limits=limits or Limits(), loop=loop,
    )
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        PartWriter(plan.part, provenance, schedule).close()
    except OSError as error:
        raise Failure(f"{plan.part.name}: cannot be written: {error.strerror or error}") from error
    pile_up = PileUp(max(item.intended_ns or 0 for item in schedule) / 1e9) if stop_over_saturation else None
    ends, interrupted, words = work(plan.shared(workers), on_progress, None if concurrency is not None else pile_up)
    for end in ends:
        if "failed" in end:
            raise Failure(str(end["failed"]))
    judged = [end["end"] for end in ends if "end" in end]
    client = together(judged) if len(judged) == len(ends) else unjudged("the client ended before it could judge itself")
    stopped = bool(client.pop("stopped", True))
    if pile_up is not None and pile_up.why is not None:
        client["over_saturated"] = pile_up.why
    known = read_part(plan.part).provenance
    started = client.pop("started_at_utc", known.started_at_utc)
    from workbench.runlog.table import finish  # pandas takes longer to load than all else: only now

    log = finish(final, partial=stopped, provenance=replace(known, client=client, started_at_utc=started))
    if interrupted:
        raise KeyboardInterrupt
    if len(judged) < len(ends):
        kept = len(log) - log.outcomes()["unfinished"]
        raise Failure(f"the load generator's worker {words}; {kept} of {len(log)} requests are kept in {final.name}")
    return log


def _check(
    schedule: Sequence[Planned], prompts: Sequence[Prompt], final: Path, concurrency: int | None, stagger_s: float,
    workers: int,
) -> None:
    if not schedule:
        raise UsageError("requests: 0: nothing to send; ask for at least one")
    if len(prompts) != len(schedule):
        raise ValueError(f"{len(prompts)} prompts for {len(schedule)} requests")
    if len({planned.request_id for planned in schedule}) != len(schedule):
        raise ValueError("two requests of the schedule have the same id")
    if concurrency is not None and concurrency < 1:
        raise UsageError(f"concurrency: {concurrency}: must be at least 1")
    talks = chains(schedule)
    most = min(len(talks), concurrency or len(talks))
    if not 1 <= workers <= most:
        raise UsageError(f"workers: {workers}: must be 1 to {most}, so that each has a request to send")
    if stagger_s < 0:
        raise UsageError(f"stagger_s: {stagger_s}: must not be negative")
    if concurrency is None and any(planned.intended_ns is None and not planned.after for planned in schedule):
        raise UsageError("this workload has no arrival times: give a concurrency, or arrivals with a rate")
    for path in (final, part_path(final)):
        if path.exists():
            raise UsageError(f"{path}: a run is there already; choose another folder")
