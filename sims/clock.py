"""SimPy's queue with integer nanoseconds, and what comes first at the same instant."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import simpy
from simpy.events import EventPriority


class Turn(IntEnum):
    """Order within one instant: who arrives is there before anybody decides."""

    ARRIVE = 0  # requests reach the front door or a replica
    END = 1  # iterations end: tokens come out, places get free
    DECIDE = 2  # replicas begin their next iteration


class Clock:
    """Plain callbacks on SimPy's event queue: a process per request would cost several times as much."""

    def __init__(self) -> None:
        self.env = simpy.Environment(initial_time=0)
        self.events = 0

    @property
    def now_ns(self) -> int:
        return int(self.env.now)

    @property
    def last_of_instant(self) -> bool:
        """Nothing else is due now: a decision may be taken at once, without an event of its own."""
        return self.env.peek() > self.env.now

    def at(self, when_ns: int, turn: Turn, call: Callable[[], None]) -> None:
        """Call at `when_ns`; within one instant by turn, then in the order in which this was asked."""
        event = simpy.Event(self.env)
        event._ok, event._value = True, None  # as simpy.Timeout does it, with an order of our own

        def run(_: Any) -> None:
            call()

        event.callbacks = [run]
        self.env.schedule(event, priority=EventPriority(turn), delay=when_ns - self.now_ns)

    def run(self, horizon_ns: int | None = None) -> int:
        """Run until nothing is left or the next event lies behind the horizon; returns when it stopped."""
        while (following := self.env.peek()) != float("inf"):
            if horizon_ns is not None and following > horizon_ns:
                return horizon_ns
            self.env.step()
            self.events += 1
        return self.now_ns
