"""Has the mean changed? Two classics, in whole numbers, and a wrapper that takes the season out first."""

from collections import deque

from workbench.control.anomaly.protocol import PPM, Alarm, Detector, whole_or_less
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole


class Cusum(Clock):
    """Sums of what exceeds the mean by more than a slack, upward and downward; an alarm where one passes the limit.

    Source: Page, Continuous Inspection Schemes, Biometrika 1954. Mean and spread (mean absolute deviation, at least 1)
    are those of the first `learn` values after the start and after each alarm. Slack and limit in thousandths of the
    spread: for normal values that is 0.8 sigma, so 600 and 10,000 are about 0.5 and 8 sigma. With 5 sigma and a mean
    that is known a false alarm comes every 465 values (Montgomery, Introduction to Statistical Quality Control); a mean
    learned from few values is off, hence 8.
    """

    def __init__(self, learn: int = 96, slack_milli: int = 600, limit_milli: int = 10_000) -> None:
        self.learn, self.slack_milli = whole("learn", learn, least=2), whole("slack_milli", slack_milli, least=0)
        self.limit_milli = whole("limit_milli", limit_milli)
        self._start()

    def _start(self) -> None:
        self._learned: list[int] = []
        self._mean = self._spread = self._up = self._down = 0

    def update(self, now_ns: int, value: int) -> Alarm | None:
        self._tick(now_ns)
        if len(self._learned) < self.learn:
            self._learned.append(whole_or_less("value", value))
            if len(self._learned) == self.learn:
                # sums, not means: everything below is scaled by `learn`, so nothing is rounded
                self._mean = sum(self._learned)
                absolute = sum(abs(self.learn * x - self._mean) for x in self._learned)
                self._spread = max(absolute // self.learn, self.learn)
            return None
        off = (self.learn * whole_or_less("value", value) - self._mean) * 1000
        slack, limit = self.slack_milli * self._spread, self.limit_milli * self._spread
        self._up = max(0, self._up + off - slack)
        self._down = max(0, self._down - off - slack)
        if max(self._up, self._down) <= limit:
            return None
        what = "up" if self._up > self._down else "down"
        alarm = Alarm(now_ns, what, "notice", max(self._up, self._down) // self._spread, self.limit_milli,
                      "milli_spread")
        self._start()
        return alarm


class PageHinkley(Clock):
    """The sum of (value - mean so far - slack) against its least so far, and the same downward.

    Source: Page 1954, Hinkley 1971; the running form as in Gama et al., A Survey on Concept Drift Adaptation, 2014.
    Slack and limit are in the value's own unit: know its size. No alarm in the first `learn` values.
    """

    def __init__(self, limit: int, slack: int = 0, learn: int = 30) -> None:
        self.limit, self.slack = whole("limit", limit), whole("slack", slack, least=0)
        self.learn = whole("learn", learn)
        self._start()

    def _start(self) -> None:
        self._count = self._total = self._up = self._down = self._least = self._greatest = 0

    def update(self, now_ns: int, value: int) -> Alarm | None:
        self._tick(now_ns)
        self._count += 1
        self._total += whole_or_less("value", value)
        # sums in millionths, the mean rounded down
        off = value * PPM - self._total * PPM // self._count
        self._up += off - self.slack * PPM
        self._down += off + self.slack * PPM
        self._least, self._greatest = min(self._least, self._up), max(self._greatest, self._down)
        rise, fall = self._up - self._least, self._greatest - self._down
        if self._count < self.learn or max(rise, fall) <= self.limit * PPM:
            return None
        self._start()
        return Alarm(now_ns, "up" if rise >= fall else "down", "notice", max(rise, fall) // PPM, self.limit)


class Deseasoned(Clock):
    """A detector on the difference to a season ago. After an alarm the season is learned anew: one season without
    sight, or the change would be told a second time when it has become the past."""

    def __init__(self, detector: Detector, season: int) -> None:
        self.detector = detector
        self._past: deque[int] = deque(maxlen=whole("season", season))

    def update(self, now_ns: int, value: int) -> Alarm | None:
        self._tick(now_ns)
        known = len(self._past) == self._past.maxlen
        alarm = self.detector.update(now_ns, value - self._past[0]) if known else None
        if alarm:
            self._past.clear()
        self._past.append(value)
        return alarm


def cusum_seasonal(season: int, learn: int = 96, slack_milli: int = 600, limit_milli: int = 10_000) -> Deseasoned:
    """By name, with plain values."""
    return Deseasoned(Cusum(learn, slack_milli, limit_milli), season)
