"""Who goes first: a heap for each tenant, so that an eviction costs the tenants and not the holdings."""

import heapq
from collections.abc import Callable, Mapping

from workbench.control.resources.holding import Holding

SPARE = 1024  # stale entries allowed before the heaps are made anew
Entry = tuple[int, int, str]  # -priority, -sequence, id


class Victims:
    """Made when somebody is evicted for the first time: most pools never do. Entries of holdings that ended are
    dropped when they come up."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[Entry]] = {}
        self._entries = 0
        self._asked = False

    def add(self, holding: Holding, held: Mapping[str, Holding]) -> None:
        if not self._asked:
            return
        heapq.heappush(self._heaps.setdefault(holding.tenant, []), _entry(holding))
        self._entries += 1
        if self._entries > SPARE + 2 * len(held):
            self._heaps, self._entries = {}, 0
            for other in held.values():
                self.add(other, held)

    def first(self, held: Mapping[str, Holding], above: Callable[[str], bool]) -> Holding:
        """Of the tenants above their guarantee: the lowest class, then the latest. One always is."""
        if not self._asked:
            self._asked = True
            for holding in held.values():
                self.add(holding, held)
        best: Entry | None = None
        for tenant, heap in self._heaps.items():
            if above(tenant):
                while heap[0][2] not in held or held[heap[0][2]].sequence != -heap[0][1]:
                    heapq.heappop(heap)
                    self._entries -= 1
                if best is None or heap[0] < best:
                    best = heap[0]
        assert best is not None
        return held[best[2]]


def _entry(holding: Holding) -> Entry:
    return -holding.priority, -holding.sequence, holding.id
