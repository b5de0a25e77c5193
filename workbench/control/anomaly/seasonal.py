"""The baseline that any other detector must beat: is it as it was a season ago?"""

from collections import deque

from workbench.control.anomaly.protocol import Alarm, whole_or_less
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole


class SeasonalNaive(Clock):
    """Alarm where the difference to a season ago exceeds `limit_milli` thousandths of the mean absolute difference of
    the season before (at least 1). At most one alarm a season: it would go on until the season has passed."""

    def __init__(self, season: int, limit_milli: int = 5_000) -> None:
        self.season, self.limit_milli = whole("season", season, least=2), whole("limit_milli", limit_milli)
        self._values: deque[int] = deque(maxlen=season)
        self._differences: deque[int] = deque(maxlen=season)
        self._sum = 0
        self._quiet = 0

    def update(self, now_ns: int, value: int) -> Alarm | None:
        self._tick(now_ns)
        off = whole_or_less("value", value) - self._values[0] if len(self._values) == self.season else None
        self._values.append(value)
        if off is None:
            return None
        full, usual = len(self._differences) == self.season, max(self._sum, self.season)
        alarm = None
        if full and not self._quiet and abs(off) * 1000 * self.season > self.limit_milli * usual:
            size = abs(off) * 1000 * self.season // usual
            alarm = Alarm(now_ns, "up" if off > 0 else "down", "notice", size, self.limit_milli,
                          "milli_spread")
            self._quiet = self.season
        self._quiet = max(0, self._quiet - 1)
        self._sum += abs(off) - (self._differences[0] if full else 0)
        self._differences.append(abs(off))
        return alarm
