"""What a simulation gives back, and the laws that it must have kept."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from sims.record import NEVER, Record
from sims.replica import Iteration
from workbench.control.journal import Journal, Setup
from workbench.errors import Failure
from workbench.runlog.table import RunLog


@dataclass(frozen=True)
class SimResult:
    """A run log as any other, and what only a simulator can see. Lists have one entry a replica."""

    log: RunLog
    setup: Setup
    journal: Journal | None
    iterations: tuple[int, ...]
    busy_ns: tuple[int, ...]
    sequences: tuple[int, ...]  # sum over iterations of the sequences in the batch
    preemptions: int
    stop_ns: int
    area_ns: int  # integral of the number of requests inside, counted as the run went
    events: int
    trace: tuple[tuple[int, Iteration], ...] | None  # (replica, completed iteration), if asked for
    mode: str = "oracle"  # what ran: macro, iteration (the same with jumps of one) or oracle
    why: str | None = None  # why the oracle ran

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The `sim` block of the JSON."""
        setup, done = self.setup, sum(self.iterations)
        capacity_ns = self.stop_ns * len(self.busy_ns)
        return {
            "replicas": setup.replicas, "queue": setup.queue, "router": setup.router, "window": setup.window,
            "duration_s": self.stop_ns / 1e9,
            "iterations": done, "preemptions": self.preemptions, "events": self.events,
            "busy_frac": sum(self.busy_ns) / capacity_ns if capacity_ns else 0.0,
            "busy_frac_by_replica": [busy / self.stop_ns if self.stop_ns else 0.0 for busy in self.busy_ns],
            "mean_batch": sum(self.sequences) / done if done else 0.0,
            "mode": self.mode, "events_per_iteration": self.events / done if done else 0.0,
        }


def check_laws(record: Record, area_ns: int, stop_ns: int) -> None:
    """Identities that hold on every run; a breach is a bug here, and no number of the run is to be trusted.

    Conservation: a request that ended ok got every token it asked for, in order. Little: the integral of the
    number inside, counted event by event, equals the sum of the times inside, taken from the records.
    """
    wanted = np.array([plan.asked_output_tok for plan in record.schedule], dtype=np.int64)
    got = record.segments.tokens if record.segments is not None else record.seen()[0]
    for index in np.flatnonzero(record.ok & (got != wanted))[:1]:
        name = record.schedule[index].request_id
        raise Failure(f"simulator bug: {name} got {got[index]} of {wanted[index]} tokens")
    fault = _out_of_order(record) if record.segments is None else record.segments.faults()
    if fault is not None:
        raise Failure(f"simulator bug: {fault}")
    sent, left = record.column("sent_ns"), record.column("left_ns")
    spent = np.where(sent == NEVER, 0, np.where(left == NEVER, stop_ns, left) - sent)
    inside_ns = (int((spent >> 32).sum()) << 32) + int((spent & 0xFFFFFFFF).sum())  # beyond 64 bits, exactly
    if inside_ns != area_ns:
        raise Failure(f"simulator bug: Little's law is off: {inside_ns} ns inside by rows, {area_ns} ns by count")


def _out_of_order(record: Record) -> str | None:
    for index, times in record.token_ns.items():
        if any(a > b for a, b in pairwise(times)):
            return f"{record.schedule[index].request_id} got tokens out of order"
    return None
