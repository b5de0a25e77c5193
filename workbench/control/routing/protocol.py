"""What a router sees of a replica, and what it answers."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from workbench.control.request import Waiting


class Randomness(Protocol):
    def random(self) -> float:
        """At least 0, below 1."""
        ...


class Signal(NamedTuple):
    """What a replica last said of itself. Its age is now - reported_ns: nobody may use a fresher one."""

    reported_ns: int
    waiting: int = 0
    running: int = 0
    kv_used_ppm: int = 0


class Candidate(NamedTuple):
    """A replica that could take the request, and what this router's own gateway knows of it (never older than now).

    `outstanding` and `outstanding_tok`: released by this gateway and not yet over. Other gateways' are in the signal.
    """

    replica: int
    outstanding: int = 0
    outstanding_tok: int = 0
    signal: Signal | None = None
    weight: int = 1


class Router(Protocol):
    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:
        """The chosen replica. `candidates` is never empty and sorted by replica; who is picked is sent the request."""
        ...


class Clock:
    """A time that never goes back."""

    def __init__(self) -> None:
        self._now_ns = 0

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns


def any_of(count: int, randomness: Randomness) -> int:
    """One of `count`, each as likely."""
    return int(randomness.random() * count)
