"""SimPy's queue with integer nanoseconds, and what comes first at the same instant."""

import gc
from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from typing import Any

import simpy

_LANE_BITS = 32


class Turn(IntEnum):
    """Order within one instant: who arrives is there before anybody decides."""

    ARRIVE = 0  # requests reach the front door or a replica
    END = 1  # iterations end: tokens come out, places get free
    DECIDE = 2  # replicas begin their next iteration
    STOP = 4  # the horizon, after everything else of its instant


class Alarm:
    """An event that is set again and again: SimPy needs one object a firing, here one object serves for a whole run.

    Within one instant alarms ring by turn, then by lane (the replica's number), then in the order in which they were
    set. One that was set twice rings twice: who moves it ahead must know the earlier setting when it rings.
    """

    __slots__ = ("_next", "_queue", "call", "env", "priority")

    def __init__(self, env: Any, turn: int, lane: int, call: Callable[[], None]) -> None:
        self.env, self.priority, self.call = env, (turn << _LANE_BITS) + lane, call
        self._queue, self._next = env._queue, env._eid

    def set(self, delay_ns: int) -> None:
        self.ring_at(self.env._now + delay_ns)

    def ring_at(self, when_ns: int) -> None:
        """What `Environment.schedule` does, without its arithmetic."""
        heappush(self._queue, (when_ns, self.priority, next(self._next), self))


class Clock:
    """Plain callbacks on SimPy's event queue: a process per request would cost several times as much."""

    def __init__(self) -> None:
        self.env: Any = simpy.Environment(initial_time=0)  # times stay int: SimPy's types say int | float
        self.events = 0

    @property
    def now_ns(self) -> int:
        return self.env._now  # type: ignore[no-any-return]

    @property
    def last_of_instant(self) -> bool:
        """Nothing else is due now: a decision may be taken at once, without an event of its own."""
        return bool(self.env.peek() > self.env.now)

    def alarm(self, turn: Turn, call: Callable[[], None], lane: int = 0) -> Alarm:
        return Alarm(self.env, turn, lane, call)

    def at(self, when_ns: int, turn: Turn, call: Callable[[], None], lane: int = 0) -> None:
        """Call once at `when_ns`."""
        self.alarm(turn, call, lane).set(when_ns - self.now_ns)

    def run(self, horizon_ns: int | None = None) -> bool:
        """Run until nothing is left, or through the horizon; whether something lies behind it."""
        if horizon_ns is not None:
            self.at(horizon_ns, Turn.STOP, _stop)
        env, queue, rung = self.env, self.env._queue, 0
        collecting = gc.isenabled()
        gc.disable()  # nothing here makes cycles, and a collection looks at the whole schedule
        try:
            while queue:
                item = heappop(queue)
                if item[3].__class__ is Alarm:
                    env._now = item[0]
                    item[3].call()
                else:  # any other event of SimPy, such as a process
                    heappush(queue, item)
                    env.step()
                rung += 1
        except _Stopped:
            return bool(queue)
        finally:
            self.events += rung
            if collecting:
                gc.enable()
        return False


class _Stopped(Exception):
    """The horizon was reached."""


def _stop() -> None:
    raise _Stopped
