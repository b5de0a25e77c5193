"""The time that a policy was told last. It never goes back."""


class Clock:
    """Mixed into a policy: every method of it begins with `self._tick(now_ns)`."""

    _now_ns = 0

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
