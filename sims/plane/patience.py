"""Clients that wait so long and no longer: one pending event for all that are equally patient."""

from collections import deque
from collections.abc import Callable

from sims.clock import Clock, Turn
from sims.plane.rows import Line


class Patience:
    """They come in order of time, so the next whose patience ends is the first that came. `waits` says of a line
    whether its client would still leave; who would not is passed over."""

    def __init__(self, clock: Clock, patience_ns: int, lane: int, waits: Callable[[Line], bool],
                 leave: Callable[[Line], None]) -> None:
        self.clock, self.patience_ns, self._waits, self._leave = clock, patience_ns, waits, leave
        self._who: deque[tuple[int, Line]] = deque()
        self._alarm, self._set = clock.alarm(Turn.ARRIVE, self._ring, lane), False

    def add(self, now_ns: int, line: Line) -> None:
        self._who.append((now_ns + self.patience_ns, line))
        if not self._set:
            self._set = True
            self._alarm.ring_at(now_ns + self.patience_ns)

    def _ring(self) -> None:
        who, now_ns = self._who, self.clock.now_ns
        while who and (who[0][0] <= now_ns or not self._waits(who[0][1])):
            at_ns, line = who.popleft()
            if at_ns <= now_ns and self._waits(line):
                self._leave(line)
        self._set = bool(who)
        if who:
            self._alarm.ring_at(who[0][0])
