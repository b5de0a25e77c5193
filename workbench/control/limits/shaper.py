"""The leaky bucket as a queue: the same equation as the token bucket, but the answer is when to go."""

from typing import NamedTuple

from workbench.control.limits.answer import whole
from workbench.control.limits.gcra import Gcra


class Slot(NamedTuple):
    """Go after `wait_ns`; refused where that is longer than the queue allows (or never: None)."""

    admitted: bool
    wait_ns: int | None


class Shaper:
    """Delays instead of refusing: what leaves is within burst + rate x time in every interval, in order of arrival.

    Refuses who would wait longer than `max_wait_ns`. A wait is the least whole ns at which the token bucket
    would admit, everyone before having gone at their time.
    """

    def __init__(self, amount: int, per_ns: int, burst: int = 1, max_wait_ns: int = 60 * 10**9) -> None:
        self.meter = Gcra(amount, per_ns, burst)
        self.max_wait_ns = whole("max_wait_ns", max_wait_ns, 0)
        self._now_ns = 0

    def ask(self, now_ns: int, key: str, amount: int = 1) -> Slot:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        whole("amount", amount)
        self._now_ns = now_ns
        wait_ns = self.meter.look(now_ns, key, amount).retry_after_ns
        if wait_ns is None or wait_ns > self.max_wait_ns:
            return Slot(False, wait_ns)
        self.meter.take(now_ns, key, amount, wait_ns)
        return Slot(True, wait_ns)

    def purge(self, now_ns: int) -> None:
        self.meter.purge(now_ns)
