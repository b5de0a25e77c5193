"""Replicas for the demand of when they would be ready: a cold start is answered before it is needed."""

from collections import deque

from workbench.control.capacity.protocol import PPM, Forecaster, Observed, ceil_div
from workbench.control.capacity.queue import QueueBased
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole


class Predictive:
    """What a queue-based autoscaler wants, or enough for the forecast at any step from now until `cold_ns` ahead,
    whichever is more. What it did not see coming it serves as late as a reactive one.

    Demand is offered load, arrivals x service time / interval (Little's law): never the backlog, which would echo a
    season later. Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice; used as EC2's predictive
    scaling does.
    """

    def __init__(
        self, forecaster: Forecaster, slots: int, service_ns: int, drain_ns: int, cold_ns: int, step_ns: int,
        margin_ppm: int = 0,
    ) -> None:
        self.forecaster, self.reactive = forecaster, QueueBased(slots, service_ns, drain_ns)
        self.cold_ns, self.step_ns = whole("cold_ns", cold_ns), whole("step_ns", step_ns)
        self.margin_ppm = whole("margin_ppm", margin_ppm, least=0)
        self._last_ns: int | None = None

    def decide(self, now_ns: int, observed: Observed) -> int:
        queue = self.reactive
        if self._last_ns is not None and now_ns > self._last_ns:
            offered = ceil_div(observed.arrived * queue.service_ns, now_ns - self._last_ns)
            self.forecaster.observe(now_ns, offered)
        self._last_ns = now_ns
        steps = [*range(self.step_ns, self.cold_ns, self.step_ns), self.cold_ns]
        guesses = [self.forecaster.forecast(now_ns, ahead_ns) for ahead_ns in steps]
        most = max((guess for guess in guesses if guess is not None), default=0)
        return max(queue.decide(now_ns, observed), ceil_div(most * (PPM + self.margin_ppm), queue.slots * PPM))


class SeasonalNaive(Clock):
    """It will be as it was a season ago: the mean of what was observed in that slot. The baseline for every other."""

    def __init__(self, season_ns: int, slot_ns: int) -> None:
        self.season_ns, self.slot_ns = whole("season_ns", season_ns), whole("slot_ns", slot_ns)
        if season_ns % slot_ns:
            raise ValueError(f"season_ns: {season_ns} is not a multiple of slot_ns {slot_ns}")
        self._slots: deque[tuple[int, int, int]] = deque()  # index, sum, count; no gaps

    def observe(self, now_ns: int, demand: int) -> None:
        self._tick(now_ns)
        slot = now_ns // self.slot_ns
        if not self._slots:
            self._slots.append((slot, 0, 0))
        per_season = self.season_ns // self.slot_ns
        if slot - self._slots[-1][0] > per_season + 1:
            self._slots = deque([(slot, 0, 0)])  # a gap longer than all that is kept
        while self._slots[-1][0] < slot:
            self._slots.append((self._slots[-1][0] + 1, 0, 0))
        while len(self._slots) > per_season + 1:
            self._slots.popleft()
        index, total, count = self._slots[-1]
        self._slots[-1] = index, total + demand, count + 1

    def forecast(self, now_ns: int, ahead_ns: int) -> int | None:
        """Ahead at most a season. Rounded up."""
        self._tick(now_ns)
        wanted = (now_ns + ahead_ns - self.season_ns) // self.slot_ns
        at = wanted - self._slots[0][0] if self._slots else -1
        if not 0 <= at < len(self._slots):
            return None
        _, total, count = self._slots[at]
        return ceil_div(total, count) if count else None


def predictive_seasonal(
    season_ns: int, slot_ns: int, slots: int, service_ns: int, drain_ns: int, cold_ns: int, margin_ppm: int = 0
) -> Predictive:
    """By name, with plain values."""
    return Predictive(SeasonalNaive(season_ns, slot_ns), slots, service_ns, drain_ns, cold_ns, slot_ns, margin_ppm)
