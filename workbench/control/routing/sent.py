"""What this gateway sent lately, counted by replica: the correction of a stale report, and the base of a share."""

from collections import deque

from workbench.control.routing.protocol import Candidate


class Sent:
    """Of the last `window_ns`: now - window_ns < t <= now. A constant amount of work for each request, amortised."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.to: dict[int, int] = {}  # replica -> how many, as of the last `expire`
        self._all = deque[tuple[int, int]]()
        self._unreported: dict[int, deque[int]] = {}

    def expire(self, now_ns: int) -> int:
        """Forget what is too old; how many are left."""
        first_ns, sent = now_ns - self.window_ns + 1, self._all
        while sent and sent[0][0] < first_ns:
            self.to[sent.popleft()[1]] -= 1
        return len(sent)

    def unreported(self, now_ns: int, candidate: Candidate) -> int:
        """Sent there at or after its last report, which therefore may lack them. A replica's reports only get newer."""
        times = self._unreported.get(candidate.replica)
        if not times:
            return 0
        first_ns = now_ns - self.window_ns + 1
        if candidate.signal is not None:
            first_ns = max(first_ns, candidate.signal.reported_ns)
        while times and times[0] < first_ns:
            times.popleft()
        return len(times)

    def add(self, now_ns: int, replica: int) -> None:
        self._all.append((now_ns, replica))
        self.to[replica] = self.to.get(replica, 0) + 1
        self._unreported.setdefault(replica, deque()).append(now_ns)
