"""Who is released next. A queue is told of arrivals and asked for the next; it never sees a true length."""

import heapq
from collections import deque
from typing import Protocol

from workbench.control.events import Arrived


class Queue(Protocol):
    """Requests that wait at the front door."""

    def push(self, now_ns: int, request: Arrived) -> None: ...

    def pop(self, now_ns: int) -> Arrived: ...

    def __len__(self) -> int: ...


class Fcfs:
    """First come, first served; two of one instant in the order in which they were told."""

    def __init__(self) -> None:
        self._waiting: deque[Arrived] = deque()

    def push(self, now_ns: int, request: Arrived) -> None:  # noqa: ARG002 - part of the protocol
        self._waiting.append(request)

    def pop(self, now_ns: int) -> Arrived:  # noqa: ARG002 - part of the protocol
        return self._waiting.popleft()

    def __len__(self) -> int:
        return len(self._waiting)


class ShortestFirst:
    """Least estimated work first, ties in order of arrival: best mean wait, starves the long ones."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Arrived]] = []
        self._sequence = 0

    def push(self, now_ns: int, request: Arrived) -> None:  # noqa: ARG002 - part of the protocol
        heapq.heappush(self._waiting, (request.estimated_tok, self._sequence, request))
        self._sequence += 1

    def pop(self, now_ns: int) -> Arrived:  # noqa: ARG002 - part of the protocol
        return heapq.heappop(self._waiting)[2]

    def __len__(self) -> int:
        return len(self._waiting)
