"""A heap over a dictionary of living items: who left the dictionary is passed over when it comes to the top."""

import heapq
from collections.abc import Callable, Mapping

from workbench.control.request import Waiting

SPARE = 64  # dead entries that are not worth sweeping


class LazyHeap:
    """Items in order of key, then sequence, then order of adding. O(log n) each, memory of twice the living."""

    __slots__ = ("_added", "_alive", "_heap", "_key", "_sweep_at")

    def __init__(self, alive: Mapping[str, Waiting], key: Callable[[Waiting], int]) -> None:
        self._alive, self._key = alive, key
        self._heap: list[tuple[int, int, int, Waiting]] = []
        self._added, self._sweep_at = 0, SPARE

    def add(self, item: Waiting) -> None:
        self._added += 1
        heapq.heappush(self._heap, (self._key(item), item.sequence, self._added, item))
        if len(self._heap) > self._sweep_at:
            alive = self._alive
            living = {entry[3].request_id: entry for entry in self._heap if alive.get(entry[3].request_id) is entry[3]}
            self._heap = sorted(living.values())
            self._sweep_at = SPARE + 2 * len(self._heap)

    @property
    def empty(self) -> bool:
        """Nobody was added who may still be there."""
        return not self._heap

    def first(self) -> Waiting | None:
        heap, alive = self._heap, self._alive
        while heap:
            item = heap[0][3]
            if alive.get(item.request_id) is item:
                return item
            heapq.heappop(heap)
        return None

    def least(self) -> int | None:
        """The key of the first."""
        return None if self.first() is None else self._heap[0][0]


def by_priority(item: Waiting) -> int:
    return item.priority
