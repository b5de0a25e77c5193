"""The attempts of a run, by the order in which they were released: what a station writes down of each."""

from array import array

from sims.record import NEVER
from workbench.runlog.schema import Planned

OPEN = (1 << 63) - 1  # it was not broken off


class Attempts:
    """Columns, one entry an attempt. `start_ns`: its prompt begins to be computed; `first_ns`: its first token leaves
    the engine. It was broken off at `broken_ns`: what comes out at that very moment is seen no more."""

    def __init__(self) -> None:
        self.schedule: list[Planned] = []
        self.row, self.replica, self.number, self.station = array("q"), array("q"), array("q"), array("q")
        self.released_ns, self.start_ns, self.first_ns, self.over_ns = array("q"), array("q"), array("q"), array("q")
        self.cached_tok, self.preemptions, self.broken_ns = array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self.schedule)

    def add(self, plan: Planned, row: int, number: int, replica: int, station: int, now_ns: int) -> int:
        """Its place."""
        place = len(self.schedule)
        self.schedule.append(plan)
        self.row.append(row)
        self.number.append(number)
        self.replica.append(replica)
        self.station.append(station)
        self.released_ns.append(now_ns)
        for column in (self.start_ns, self.first_ns, self.over_ns):
            column.append(NEVER)
        self.cached_tok.append(0)
        self.preemptions.append(0)
        self.broken_ns.append(OPEN)
        return place
