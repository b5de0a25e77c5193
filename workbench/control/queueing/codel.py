"""Shedding by time waited instead of by length: a standing line is shed, a burst is not."""

from math import isqrt

from workbench.control.limits.answer import whole

SHARP = 1 << 20  # the root is exact to 1 / SHARP


class CoDel:
    """Source: Nichols & Jacobson, ACM Queue 10(5), 2012; RFC 8289.

    Once every request that left waited longer than `target_ns` for a whole `interval_ns`, one is dropped, the next
    after interval / sqrt(2), interval / sqrt(3), ... until one leaves that waited less. The last one waiting is
    never dropped. Asked of each request when its turn comes.
    """

    def __init__(self, target_ns: int = 500_000_000, interval_ns: int = 10_000_000_000) -> None:
        self.target_ns, self.interval_ns = whole("target_ns", target_ns), whole("interval_ns", interval_ns)
        self._stands_ns: int | None = None  # if nobody waited less until then, the line stands
        self._dropping, self._next_ns, self._count, self._count_before = False, 0, 0, 0

    def drop(self, now_ns: int, waited_ns: int, left: int) -> bool:
        """Drop this one, which waited so long and leaves so many behind?"""
        above = self._above(now_ns, waited_ns, left)
        if self._dropping:
            if not above:
                self._dropping = False
            elif now_ns >= self._next_ns:
                self._count += 1
                self._next_ns += self._gap_ns()
                return True
            return False
        if not above:
            return False
        # soon after the last time: go on near the rate that worked (RFC 8289, 5.4)
        more, recent = self._count - self._count_before, now_ns - self._next_ns < 16 * self.interval_ns
        self._count = more if more > 1 and recent else 1
        self._count_before = self._count
        self._dropping, self._next_ns = True, now_ns
        self._next_ns += self._gap_ns()
        return True

    def _above(self, now_ns: int, waited_ns: int, left: int) -> bool:
        """Above the target for a whole interval by now."""
        if waited_ns < self.target_ns or not left:
            self._stands_ns = None
            return False
        if self._stands_ns is None:
            self._stands_ns = now_ns + self.interval_ns
            return False
        return now_ns >= self._stands_ns

    def _gap_ns(self) -> int:
        """interval / sqrt(count), in whole numbers."""
        return self.interval_ns * SHARP // isqrt(self._count * SHARP * SHARP)
