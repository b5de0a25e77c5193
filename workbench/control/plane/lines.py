"""Who waits: one line before each pool of replicas, and the times at which somebody's patience ends."""

import heapq
from collections.abc import Mapping
from typing import NamedTuple

from workbench.control.plane.gate import Gate
from workbench.control.plane.inside import Inside
from workbench.control.queueing.manager import QueueManager
from workbench.control.request import Waiting


class Line:
    """A queue, and the one that was popped but has no memory yet: nobody goes before it. `gate`: who could go now."""

    __slots__ = ("gate", "held", "pool", "queue")

    def __init__(self, pool: str, queue: QueueManager, gate: Gate | None = None) -> None:
        self.pool, self.queue, self.gate = pool, queue, gate
        self.held: Inside | None = None

    def __len__(self) -> int:
        return len(self.queue) + 1 if self.held is not None else len(self.queue)


class Alarm(NamedTuple):
    """For one request: ids may come again, `sequence` (of arrival) does not."""

    at_ns: int
    order: int  # of setting
    request_id: str
    sequence: int


class Alarms:
    """In order of time, then of setting. Who cares no longer is passed over by the reader."""

    def __init__(self) -> None:
        self._heap: list[Alarm] = []
        self._set = 0

    def add(self, at_ns: int, item: Waiting) -> None:
        self._set += 1
        heapq.heappush(self._heap, Alarm(at_ns, self._set, item.request_id, item.sequence))

    def due_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def pop(self, now_ns: int) -> Alarm | None:
        """The next that is due by now."""
        return heapq.heappop(self._heap) if self._heap and self._heap[0][0] <= now_ns else None


def waiting(lines: Mapping[str, Line]) -> int:
    return sum(len(line) for line in lines.values())
