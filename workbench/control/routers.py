"""Where a request goes. A router chooses among the replicas that still have a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.control.events import Arrived


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica with a free place. The front door's own count: it is never older than now."""

    replica: int
    outstanding: int  # released and not yet over


class Router(Protocol):
    def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:
        """The chosen replica; `candidates` is never empty and sorted by replica."""
        ...


class LeastLoaded:
    """Fewest outstanding requests, ties to the lowest replica number."""

    def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        return min(candidates, key=lambda c: (c.outstanding, c.replica)).replica


class RoundRobin:
    """Each in turn; who has no place is passed over and not made up for."""

    def __init__(self) -> None:
        self._last = -1

    def pick(self, now_ns: int, request: Arrived, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        after = [c.replica for c in candidates if c.replica > self._last]
        self._last = after[0] if after else candidates[0].replica
        return self._last
