"""What a run under the control plane left behind, put in order: each client's tokens, by row of the run log."""

from array import array
from collections.abc import Sequence

import numpy as np

from sims.plane.driver import PlaneDriver
from sims.plane.fleet import collect
from sims.plane.rows import Line
from sims.plane.tokens import Shown, Tokens, Window


def seen_tokens(driver: PlaneDriver, lines: Sequence[Line]) -> tuple[Tokens, list[int]]:
    """(tokens, times each lost its place in a batch) by the order of `lines`."""
    attempts = driver.attempts
    row_of = array("q", [0]) * len(driver.lines)
    for row, line in enumerate(lines):
        row_of[line.row] = row
    if len(attempts):
        attempts.row = array("q", np.frombuffer(row_of, dtype=np.int64)[np.frombuffer(attempts.row, dtype=np.int64)]
                             .tobytes())
    preemptions = np.bincount(np.frombuffer(attempts.row, dtype=np.int64), minlength=len(lines),
                              weights=np.frombuffer(attempts.preemptions, dtype=np.int64)).astype(np.int64)
    tokens = collect(driver.stations, len(lines), attempts, [line.shown for line in lines], _others(lines),
                     _windows(driver), driver.overheads.out_ns)
    return tokens, preemptions.tolist()


def _others(lines: Sequence[Line]) -> list[Shown]:
    found = []
    for row, line in enumerate(lines):
        if line.at_once and line.end_ns is not None and not line.on_device:
            found.append(Shown(row, line.end_ns, line.plan.asked_output_tok))
        elif line.device_ns is not None and line.outcome == "ok":
            found.append(Shown(row, line.device_ns[0], line.plan.asked_output_tok, line.device_ns[1]))
    return found


def _windows(driver: PlaneDriver) -> list[Window]:
    """Which attempts were on a replica that could not be reached."""
    on = np.frombuffer(driver.attempts.station, dtype=np.int64)
    return [Window(frozenset(np.flatnonzero(on == index).tolist()), from_ns, until_ns)
            for index, from_ns, until_ns in driver.machines.cut_off]
