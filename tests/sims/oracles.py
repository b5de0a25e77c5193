"""Sample-path recursions that know nothing of the simulator."""

import heapq
from collections.abc import Sequence


def lindley(arrivals: Sequence[int], services: Sequence[int]) -> list[int]:
    """Departures of a single server, first come first served."""
    free, found = 0, []
    for at, service in zip(arrivals, services, strict=True):
        free = max(free, at) + service
        found.append(free)
    return found


def kiefer_wolfowitz(arrivals: Sequence[int], services: Sequence[int], servers: int) -> list[int]:
    """Departures of `servers` equal servers, first come first served."""
    free, found = [0] * servers, []
    for at, service in zip(arrivals, services, strict=True):
        end = max(heapq.heappop(free), at) + service
        heapq.heappush(free, end)
        found.append(end)
    return found
