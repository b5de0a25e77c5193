"""Will the money last? What was spent in a period, and what that comes to at its end."""

from collections import deque

from workbench.control.anomaly.protocol import Alarm
from workbench.control.limits.answer import whole

DAY_NS = 86_400 * 10**9


class Budget:
    """A page when more than `most_pusd` is spent in a period; a ticket when it will be, at the rate of the last
    `rate_ns`. Each at most once in a period. Periods follow one another from `begin_ns`; nothing counts before.

    Worst case: no projection in the first `rate_ns` of a period; and a burst of that length is taken for the rate of
    all that is left of it.
    """

    def __init__(self, most_pusd: int, period_ns: int = 30 * DAY_NS, begin_ns: int = 0,
                 rate_ns: int | None = None) -> None:
        self.most_pusd, self.period_ns = whole("most_pusd", most_pusd), whole("period_ns", period_ns)
        self.begin_ns = whole("begin_ns", begin_ns, least=0)
        self.rate_ns = max(1, period_ns // 30) if rate_ns is None else whole("rate_ns", rate_ns)
        if self.rate_ns >= period_ns:
            raise ValueError(f"rate_ns: {rate_ns} is not below period_ns {period_ns}")
        self._period = -1
        self._before_pusd = 0  # spent before this period
        self._seen: deque[tuple[int, int]] = deque()
        self._last_pusd = 0
        self._said: list[str] = []

    def look(self, now_ns: int, total_pusd: int) -> tuple[Alarm, ...]:
        """`total_pusd`: spent since ever. What was spent since the last look belongs to the period that ends now, or
        that `now_ns` lies in."""
        if now_ns <= self.begin_ns:
            self._last_pusd = total_pusd
            return ()
        period, into_ns = divmod(now_ns - self.begin_ns - 1, self.period_ns)
        into_ns += 1
        if period != self._period:
            self._period, self._before_pusd, self._said = period, self._last_pusd, []
            self._seen = deque([(now_ns - into_ns, self._last_pusd)])
        self._last_pusd = total_pusd
        self._seen.append((now_ns, total_pusd))
        while self._seen[1][0] <= now_ns - self.rate_ns:
            self._seen.popleft()
        spent = total_pusd - self._before_pusd
        if spent > self.most_pusd:
            return self._say(now_ns, "spent", "page", spent)
        since_ns, then_pusd = self._seen[0]
        if now_ns - since_ns >= self.rate_ns:
            ahead_pusd = (total_pusd - then_pusd) * (self.period_ns - into_ns) // (now_ns - since_ns)
            if spent + ahead_pusd > self.most_pusd:
                return self._say(now_ns, "projected", "ticket", spent + ahead_pusd)
        return ()

    def _say(self, now_ns: int, what: str, severity: str, value: int) -> tuple[Alarm, ...]:
        if what in self._said:
            return ()
        self._said.append(what)
        return (Alarm(now_ns, what, severity, value, self.most_pusd, "pusd"),)
