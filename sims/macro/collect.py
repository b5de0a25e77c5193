"""The segments of all replicas as one table, and each request's spans in it."""

from array import array
from collections.abc import Sequence

import numpy as np

from sims.macro.station import MacroStation
from sims.station import StationLike
from workbench.runlog.segments import Segments


def collect_segments(stations: Sequence[StationLike], rows: int, out_ns: int, stop_ns: int) -> Segments | None:
    """None where the replicas kept lists of tokens."""
    runs, spans, before = [], [], 0
    for station in stations:
        if not isinstance(station, MacroStation):
            return None
        runs.append(np.frombuffer(station.runs, dtype=np.int64).reshape(-1, 4))
        spans.append(np.frombuffer(station.spans, dtype=np.int64).reshape(-1, 3) + np.array([0, before, before]))
        before += station.runs_n
    together = np.concatenate(spans)
    together = together[np.lexsort((together[:, 1], together[:, 0]))]
    found = Segments(np.concatenate(runs), together, rows, out_ns, stop_ns)
    for station in stations:
        if isinstance(station, MacroStation):  # a second copy of a million requests' segments is felt
            station.runs = station.spans = array("q")
    return found
