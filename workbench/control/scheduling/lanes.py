"""Who waits, split by where they may go: who cannot go now holds up nobody that could."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from workbench.control.request import Waiting
from workbench.control.scheduling.heap import LazyHeap

Lane = Hashable  # those of one lane can all go, or none of them
Able = Callable[[Any], bool]  # asked of a lane


class Laned:
    """As LazyHeap, of which it has one for each lane that somebody waits in. Finding the first asks every lane."""

    __slots__ = ("_alive", "_heaps", "_key", "_lane")

    def __init__(self, alive: Mapping[str, Waiting], key: Callable[[Waiting], int],
                 lane: Callable[[Waiting], Lane]) -> None:
        self._alive, self._key, self._lane = alive, key, lane
        self._heaps: dict[Lane, LazyHeap] = {}

    def add(self, item: Waiting) -> None:
        lane = self._lane(item)
        heap = self._heaps.get(lane)
        if heap is None:
            heap = self._heaps[lane] = LazyHeap(self._alive, self._key)
        heap.add(item)

    def first(self) -> Waiting | None:
        return self.first_able(_every)

    def first_able(self, able: Able) -> Waiting | None:
        """Least key, ties by sequence, of the lanes that can go."""
        best: Waiting | None = None
        least = 0, 0
        for lane, heap in list(self._heaps.items()):
            item = heap.first()
            if item is None:
                del self._heaps[lane]
            elif able(lane):
                at = self._key(item), item.sequence
                if best is None or at < least:
                    best, least = item, at
        return best


def _every(lane: Lane) -> bool:  # noqa: ARG001 - an Able
    return True
