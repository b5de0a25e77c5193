"""Who is up: by checks sent to it (rise and fall), and by how its answers turn out (ejection of outliers)."""

from dataclasses import dataclass

from workbench.control.limits.answer import whole
from workbench.control.routing.protocol import Clock


@dataclass(slots=True)
class _Checked:
    up: bool
    due_ns: int
    streak: int = 0  # answers in a row that contradict `up`


class HealthChecks(Clock):
    """Up after `rise` good checks in a row, down after `fall` bad ones; checked `interval_ns` after each answer.

    A replica that dies is noticed after at most fall x (interval + the check's own timeout).
    Source: HAProxy's rise and fall.
    """

    def __init__(self, rise: int = 2, fall: int = 3, interval_ns: int = 2_000_000_000, begins_up: bool = False) -> None:
        super().__init__()
        self.rise, self.fall = whole("rise", rise), whole("fall", fall)
        self.interval_ns, self.begins_up = whole("interval_ns", interval_ns), begins_up
        self._checked: dict[int, _Checked] = {}

    def added(self, now_ns: int, replica: int) -> None:
        """Checked from now on."""
        self._tick(now_ns)
        self._checked[replica] = _Checked(self.begins_up, now_ns)

    def removed(self, now_ns: int, replica: int) -> None:
        self._tick(now_ns)
        self._checked.pop(replica, None)

    def due(self, now_ns: int) -> list[int]:
        """Replicas to check now; each is due again only after its answer (or timeout) was told."""
        self._tick(now_ns)
        found = [replica for replica, item in self._checked.items() if 0 <= item.due_ns <= now_ns]
        for replica in found:
            self._checked[replica].due_ns = -1
        return found

    def due_ns(self) -> int | None:
        return min((item.due_ns for item in self._checked.values() if item.due_ns >= 0), default=None)

    def answered(self, now_ns: int, replica: int, good: bool) -> None:
        """A check's answer; no answer in time is a bad one. Of a removed replica: nothing."""
        self._tick(now_ns)
        item = self._checked.get(replica)
        if item is None:
            return
        item.due_ns = now_ns + self.interval_ns
        item.streak = 0 if good == item.up else item.streak + 1
        if item.streak >= (self.fall if item.up else self.rise):
            item.up, item.streak = good, 0

    def up(self, replica: int) -> bool:
        item = self._checked.get(replica)
        return item is not None and item.up


@dataclass(slots=True)
class _Ejected:
    failures: int = 0  # in a row
    times: int = 0
    until_ns: int = 0


class Ejection(Clock):
    """Who failed `failures` times in a row is left out for `base_ns` x the times it was, at most `most_ns`.

    Never more than `most_ppm` of the fleet at once, but one may always be where there are two: when all fail, the
    fault is elsewhere, and ejecting all of them turns an overload into an outage. 429 is no failure. Each `base_ns`
    without another ejection takes one from its count of times. Source: Envoy's outlier detection.
    """

    def __init__(self, failures: int = 5, base_ns: int = 30_000_000_000, most_ns: int = 300_000_000_000,
                 most_ppm: int = 300_000) -> None:
        super().__init__()
        self.failures, self.base_ns = whole("failures", failures), whole("base_ns", base_ns)
        self.most_ns, self.most_ppm = whole("most_ns", most_ns, base_ns), whole("most_ppm", most_ppm, 0)
        self._replicas: dict[int, _Ejected] = {}
        self._last_ns = 0  # nobody is out any more from then on

    def done(self, now_ns: int, replica: int, failed: bool, fleet: int) -> bool:
        """An answer of one of `fleet` replicas. True: it is ejected by this answer."""
        self._tick(now_ns)
        item = self._replicas.setdefault(replica, _Ejected())
        item.failures = item.failures + 1 if failed else 0
        if item.failures < self.failures or item.until_ns > now_ns or self.out(now_ns) >= self.most_out(fleet):
            return False
        item.times = max(0, item.times - (now_ns - item.until_ns) // self.base_ns) + 1
        item.failures, item.until_ns = 0, now_ns + min(self.most_ns, self.base_ns * item.times)
        self._last_ns = max(self._last_ns, item.until_ns)
        return True

    def anybody(self, now_ns: int) -> bool:
        """Whether somebody is out."""
        return now_ns < self._last_ns

    def due_ns(self, now_ns: int) -> int | None:
        """When the next one may be asked again."""
        return min((item.until_ns for item in self._replicas.values() if item.until_ns > now_ns), default=None)

    def allows(self, now_ns: int, replica: int) -> bool:
        self._tick(now_ns)
        item = self._replicas.get(replica)
        return item is None or item.until_ns <= now_ns

    def out(self, now_ns: int) -> int:
        return sum(item.until_ns > now_ns for item in self._replicas.values())

    def most_out(self, fleet: int) -> int:
        return max(fleet * self.most_ppm // 1_000_000, min(1, fleet - 1))
