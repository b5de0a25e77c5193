"""Where a request goes. A router chooses among the replicas that still have a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.control.events import Arrived


@dataclass(slots=True)
class Candidate:
    """A replica, and how busy it is. The front door's own count, kept up by it: it is never older than now."""

    replica: int
    outstanding: int  # released and not yet over


class Router(Protocol):
    def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:
        """The chosen replica; `candidates` is never empty and sorted by replica."""
        ...


class LeastLoaded:
    """Fewest outstanding requests, ties to the lowest replica number."""

    def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        best = candidates[0]
        for candidate in candidates:
            if candidate.outstanding < best.outstanding:
                best = candidate
        return best.replica


class RoundRobin:
    """Each in turn; who has no place is passed over and not made up for."""

    def __init__(self) -> None:
        self._last = -1

    def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        for candidate in candidates:
            if candidate.replica > self._last:
                break
        else:
            candidate = candidates[0]
        self._last = candidate.replica
        return self._last
