"""Which kind of station a run under the control plane computes with, and what all of them wrote down in the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sims.clock import Clock
from sims.macro.premises import unmet
from sims.overheads import Overheads
from sims.plane.attempts import Attempts
from sims.plane.failures import Failure
from sims.plane.jumping import JumpingStation
from sims.plane.station import PlaneStation, Seen, StationLike
from sims.plane.tokens import Lists, Shown, Spans, Tokens, Window
from sims.replica import IterationTime
from sims.rules import EngineRules, VllmRules
from sims.station import Mode


@dataclass
class Make:
    """`why` the oracle computes (None: it does not)."""

    station: Callable[[int], StationLike]
    why: str | None
    made: list[StationLike] = field(default_factory=list)


def maker(clock: Clock, rules: EngineRules, timing: IterationTime, overheads: Overheads, attempts: Attempts,
          seen: Seen, mode: Mode, failures: Sequence[Failure] = ()) -> Make:
    """Jumps where the rules and what breaks allow them, else the oracle."""
    slow = "a replica grows slow in the middle of what would be one jump" if any(
        one.kind == "slow" for one in failures) else None
    why = "asked for" if mode == "oracle" else unmet(rules) or slow

    def station(number: int) -> StationLike:
        if why is None and isinstance(rules, VllmRules):
            return JumpingStation(clock, number, rules, timing, overheads, attempts, seen, single=mode == "iteration")
        return PlaneStation(clock, number, rules, timing, overheads, attempts, seen)
    return Make(station, why)


def collect(stations: Sequence[StationLike], rows: int, attempts: Attempts, shown: Sequence[int],
            others: Sequence[Shown], windows: Sequence[Window], out_ns: int) -> Tokens:
    """Everybody's tokens. `shown`: by row, the attempt that its client saw."""
    jumping = [one for one in stations if isinstance(one, JumpingStation)]
    if not jumping:
        lists: dict[int, list[int]] = {}
        for station in stations:
            assert isinstance(station, PlaneStation)  # a run has one kind
            lists.update(station.token_ns)
        return Lists(rows, lists, attempts, shown, others, windows)
    runs, spans, before = [], [], 0
    for one in jumping:
        runs.append(np.frombuffer(one.runs, dtype=np.int64).reshape(-1, 4))
        spans.append(np.frombuffer(one.spans, dtype=np.int64).reshape(-1, 3) + np.array([0, before, before]))
        before += one.runs_n
    return Spans(rows, np.concatenate(runs), np.concatenate(spans), attempts, shown, others, windows, out_ns)
