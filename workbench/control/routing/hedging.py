"""A second attempt for whoever waits longer for a first byte than most do; whichever answers first is kept."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from workbench.control.limits.answer import whole
from workbench.control.routing.protocol import Clock


@dataclass(slots=True)
class _Open:
    number: int  # of the request: ids may come again
    sent_ns: int
    attempts: list[str]


class Hedging(Clock):
    """After the `quantile_ppm` quantile of the last `window` waits for a first byte, one more attempt elsewhere.

    Not before `least_seen` waits are known. From the beginning to any moment at most `share_ppm` of the requests,
    plus one. After a first byte never: the first one wins, the others are cancelled.
    Source: Dean and Barroso 2013, "The tail at scale" (95th percentile, about 5 % more load).
    """

    def __init__(self, quantile_ppm: int = 950_000, share_ppm: int = 50_000, window: int = 1000,
                 least_seen: int = 100) -> None:
        super().__init__()
        self.quantile_ppm, self.share_ppm = whole("quantile_ppm", quantile_ppm), whole("share_ppm", share_ppm, 0)
        if quantile_ppm > 1_000_000:
            raise ValueError(f"quantile_ppm {quantile_ppm}: at most 1000000")
        self.window, self.least_seen = whole("window", window), whole("least_seen", least_seen)
        if least_seen > window:
            raise ValueError(f"least_seen {least_seen}: more than the window of {window} keeps: no hedge ever")
        self.requests = self.hedges = 0
        self._waits, self._sorted = deque[int](), list[int]()
        self._open: dict[str, _Open] = {}
        self._due: list[tuple[int, int, str]] = []

    def delay_ns(self) -> int | None:
        """The smallest wait seen that at least the quantile of them does not exceed; None: too few seen."""
        seen = len(self._sorted)
        return None if seen < self.least_seen else self._sorted[-(-seen * self.quantile_ppm // 1_000_000) - 1]

    def sent(self, now_ns: int, request_id: str, attempt: str) -> None:
        """A new request's first attempt goes out."""
        self._tick(now_ns)
        if request_id in self._open:
            raise ValueError(f"request {request_id}: is open already; an attempt more is told by hedged()")
        self.requests += 1
        self._open[request_id] = _Open(self.requests, now_ns, [attempt])
        delay_ns = self.delay_ns()
        if delay_ns is not None:
            heappush(self._due, (now_ns + delay_ns, self.requests, request_id))

    def due_ns(self) -> int | None:
        while self._due and not self._is_open(*self._due[0][1:]):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def on_time(self, now_ns: int) -> list[str]:
        """Requests to send once more, now; say `hedged` for each that really goes. Each is asked for once."""
        self._tick(now_ns)
        found: list[str] = []
        while (due_ns := self.due_ns()) is not None and due_ns <= now_ns:
            request_id = heappop(self._due)[2]
            if (self.hedges + len(found)) * 1_000_000 < self.share_ppm * self.requests:
                found.append(request_id)
        return found

    def hedged(self, now_ns: int, request_id: str, attempt: str) -> None:
        self._tick(now_ns)
        if request_id not in self._open:
            raise ValueError(f"request {request_id}: has had its first byte, or is over: no second attempt")
        self._open[request_id].attempts.append(attempt)
        self.hedges += 1

    def first_byte(self, now_ns: int, request_id: str, attempt: str) -> list[str]:
        """This attempt answers: the others are to be cancelled. A later first byte of another: cancel that one."""
        self._tick(now_ns)
        item = self._open.pop(request_id, None)
        if item is None:
            return [attempt]
        self._saw(now_ns - item.sent_ns)
        return [other for other in item.attempts if other != attempt]

    def over(self, now_ns: int, request_id: str, attempt: str) -> bool:
        """This attempt ended without a byte. True: it was the last one, the request is over."""
        self._tick(now_ns)
        item = self._open.get(request_id)
        if item is None:
            return False
        item.attempts.remove(attempt)
        if item.attempts:
            return False
        del self._open[request_id]
        return True

    def _is_open(self, number: int, request_id: str) -> bool:
        item = self._open.get(request_id)
        return item is not None and item.number == number

    def _saw(self, wait_ns: int) -> None:
        self._waits.append(wait_ns)
        insort(self._sorted, wait_ns)
        if len(self._waits) > self.window:
            del self._sorted[bisect_left(self._sorted, self._waits.popleft())]
