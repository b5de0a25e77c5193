"""When to stop an open loop: answers pile up beyond saving, and every further minute measures the length of the run."""

from dataclasses import dataclass, field

FRAC = 0.5  # what waits would take longer than so much of the whole sending time ...
ANSWERS = 3.0  # ... than so many times what the first answer took ...
LEAST_S = 5.0  # ... and than this: a shorter rest is not worth cutting off
SURE_N = 10  # answers over which the rate of answers is taken


@dataclass(slots=True)
class PileUp:
    """Watches a run of which the last request is due after `span_s`; `why` is set once it is beyond saving.

    Work that waits: requests in flight over the rate at which answers came in the later half of the run so far. A load
    that is carried stays far below the limit (Little: it waits as long as an answer takes), whatever its bursts; one of
    k times what is carried crosses it after 1 / (2 (k - 1)) of the sending time.
    """

    span_s: float
    why: str | None = None
    _seen: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    _first_s: float | None = None

    def saw(self, now_s: float, done: int, in_flight: int) -> bool:
        """Since the run's start: answers that have ended, and requests that wait for one. True: stop."""
        self._seen.append((now_s, done))
        if self._first_s is None:
            self._first_s = now_s if done else None
            return False
        since_s = max(now_s / 2, self._first_s)  # before the first answer nothing is known of their rate
        then_s, then = next(item for item in reversed(self._seen) if item[0] <= since_s)
        if done - then < SURE_N or now_s <= then_s:
            return False
        per_s = (done - then) / (now_s - then_s)
        waiting_s = in_flight / per_s
        if waiting_s > max(FRAC * self.span_s, ANSWERS * self._first_s, LEAST_S):
            self.why = (f"{in_flight} requests wait after {now_s:.0f} s and {per_s:.3g} a second are answered: "
                        f"{waiting_s:.0f} s of work, all of the sending takes {self.span_s:.0f} s")
        return self.why is not None
