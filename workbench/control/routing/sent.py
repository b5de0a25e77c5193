"""What this gateway sent lately, counted by replica: the correction of a stale report, and the base of a share."""

from collections import deque

from workbench.control.routing.protocol import Candidate


class Sent:
    """Of the last `window_ns`: now - window_ns < t <= now. A constant amount of work for each request, amortised."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._all = deque[int]()
        self._to: dict[int, deque[int]] = {}
        self._unreported: dict[int, deque[int]] = {}

    def total(self, now_ns: int) -> int:
        return _since(self._all, now_ns - self.window_ns + 1)

    def to(self, now_ns: int, replica: int) -> int:
        times = self._to.get(replica)
        return _since(times, now_ns - self.window_ns + 1) if times else 0

    def unreported(self, now_ns: int, candidate: Candidate) -> int:
        """Sent there at or after its last report, which therefore may lack them. A replica's reports only get newer."""
        times = self._unreported.get(candidate.replica)
        if not times:
            return 0
        first_ns = now_ns - self.window_ns + 1
        return _since(times, first_ns if candidate.signal is None else max(first_ns, candidate.signal.reported_ns))

    def add(self, now_ns: int, replica: int) -> None:
        self._all.append(now_ns)
        self._to.setdefault(replica, deque()).append(now_ns)
        self._unreported.setdefault(replica, deque()).append(now_ns)


def _since(times: deque[int], first_ns: int) -> int:
    while times and times[0] < first_ns:
        times.popleft()
    return len(times)
