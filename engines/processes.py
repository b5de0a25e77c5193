"""Processes by pid *and* start time: a number alone may belong to someone else by now."""

import contextlib
import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ident:
    """One process; `started_ticks` is field 22 of /proc/PID/stat (clock ticks since boot)."""

    pid: int
    started_ticks: int


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from field 3 (state) on; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            return handle.read().rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    except OSError:
        return []


def ident(pid: int) -> Ident | None:
    """Who runs under this pid now."""
    fields = _stat(pid)
    return Ident(pid, int(fields[19])) if fields else None


def alive(process: Ident) -> bool:
    """Whether that very process still runs; a zombie does not."""
    fields = _stat(process.pid)
    return bool(fields) and int(fields[19]) == process.started_ticks and fields[0] not in "ZX"


def send(process: Ident, number: signal.Signals) -> bool:
    """Signal that very process, or nobody; True when it was there."""
    if not alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
    return True
