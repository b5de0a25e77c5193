"""Who goes when the cache is full."""

import heapq
from typing import Protocol

PART = 2**32 - 1


class Eviction(Protocol):
    """Told what happens to the stored digests; deterministic, ties to the longest untouched."""

    def asked(self, digest: str) -> None:
        """Somebody asked for it, stored or not."""
        ...

    def added(self, digest: str) -> None: ...

    def removed(self, digest: str) -> None: ...

    def victim(self) -> str:
        """Who would go next; at least one is stored."""
        ...

    def admits(self, digest: str, victim: str) -> bool:
        """Is the new one worth more than the victim?"""
        ...


class Lru:
    """Least recently used: right for what comes in waves, washed out by a single pass over many keys."""

    def __init__(self) -> None:
        self._order: dict[str, None] = {}

    def asked(self, digest: str) -> None:
        if digest in self._order:
            del self._order[digest]
            self._order[digest] = None

    def added(self, digest: str) -> None:
        self._order[digest] = None

    def removed(self, digest: str) -> None:
        del self._order[digest]

    def victim(self) -> str:
        return next(iter(self._order))

    def admits(self, digest: str, victim: str) -> bool:  # noqa: ARG002 - part of the protocol
        return True


class Lfu:
    """Least frequently used while stored: right for steady popularity, slow to forget what was popular."""

    def __init__(self) -> None:
        self._now: dict[str, tuple[int, int]] = {}  # uses, last touched
        self._heap: list[tuple[int, int, str]] = []  # may hold outdated entries
        self._sequence = 0

    def asked(self, digest: str) -> None:
        if digest in self._now:
            self._touch(digest, self._now[digest][0] + 1)

    def added(self, digest: str) -> None:
        self._touch(digest, 1)

    def removed(self, digest: str) -> None:
        del self._now[digest]

    def victim(self) -> str:
        while True:
            uses, touched, digest = self._heap[0]
            if self._now.get(digest) == (uses, touched):
                return digest
            heapq.heappop(self._heap)

    def admits(self, digest: str, victim: str) -> bool:  # noqa: ARG002 - part of the protocol
        return True

    def _touch(self, digest: str, uses: int) -> None:
        self._sequence += 1
        self._now[digest] = (uses, self._sequence)
        heapq.heappush(self._heap, (uses, self._sequence, digest))
        if len(self._heap) > 4 * len(self._now) + 64:
            self._heap = [(n, touched, one) for one, (n, touched) in self._now.items()]
            heapq.heapify(self._heap)


class TinyLfu(Lru):
    """LRU order, but a newcomer must have been asked for more often than who would go for it.

    How often is estimated by a count-min sketch of four rows, halved every 10 x `width` asks, so that it forgets.
    Source: Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy" (2017).
    """

    def __init__(self, width: int = 4096) -> None:
        super().__init__()
        if width < 16:
            raise ValueError(f"width {width}: must be at least 16, better some times the number of stored answers")
        self._width, self._asks = width, 0
        self._rows = [[0] * width for _ in range(4)]

    def asked(self, digest: str) -> None:
        super().asked(digest)
        for row, cell in zip(self._rows, self._cells(digest), strict=True):
            row[cell] += 1
        self._asks += 1
        if self._asks == 10 * self._width:
            self._rows = [[count // 2 for count in row] for row in self._rows]
            self._asks //= 2

    def admits(self, digest: str, victim: str) -> bool:
        return self.estimate(digest) > self.estimate(victim)

    def estimate(self, digest: str) -> int:
        """Asks since the last halvings; never too low."""
        (a, b, c, d), (first, second, third, fourth) = self._rows, self._cells(digest)
        return min(a[first], b[second], c[third], d[fourth])

    def _cells(self, digest: str) -> tuple[int, int, int, int]:
        """The digest is a cryptographic hash already: four parts of it are four hashes."""
        four, width = int(digest[:32], 16), self._width
        return (four & PART) % width, (four >> 32 & PART) % width, (four >> 64 & PART) % width, (four >> 96) % width
