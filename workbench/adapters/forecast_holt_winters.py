"""Holt-Winters (additive trend and season, damped) as a `Forecaster`, by statsmodels (pip install statsmodels).

Fits the smoothing parameters once a season on the last seasons; between fits the state is updated with them.
"""

import importlib
from collections import deque
from typing import Any

from workbench.control.capacity.predictive import Predictive
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole


class HoltWinters(Clock):
    """Observed at every slot of `slot_ns` (within one slot the last counts; a slot without keeps the one before).

    Needs two whole seasons (where they are short, up to 18 slots); until then it has no forecast. Keeps
    `seasons` of history.
    """

    def __init__(self, season_ns: int, slot_ns: int, seasons: int = 4) -> None:
        self._smoothing: Any = importlib.import_module("statsmodels.tsa.holtwinters").ExponentialSmoothing
        self.season_ns, self.slot_ns = whole("season_ns", season_ns), whole("slot_ns", slot_ns)
        if season_ns % slot_ns or season_ns < 2 * slot_ns:
            raise ValueError(f"season_ns: {season_ns} is not two or more times slot_ns {slot_ns}, without remainder")
        self.slots = season_ns // slot_ns
        self._needs = max(2 * self.slots, 10 + self.slots // 2 * 2)  # for the library's initial values
        self._history: deque[int] = deque(maxlen=max(self._needs, whole("seasons", seasons, least=2) * self.slots))
        self._last = -1
        self._fitted: dict[str, Any] = {}
        self._fit_at = 0
        self._ahead: tuple[int, list[float]] = (-1, [])

    def observe(self, now_ns: int, demand: int) -> None:
        self._tick(now_ns)
        slot = now_ns // self.slot_ns
        if slot == self._last and self._history:
            self._history.pop()
        elif self._history:
            missed = min(slot - self._last - 1, self._history.maxlen or 0)
            self._history.extend([self._history[-1]] * missed)
        self._history.append(demand)
        self._last, self._ahead = slot, (-1, [])

    def forecast(self, now_ns: int, ahead_ns: int) -> int | None:
        """At most a season ahead. Never below 0; rounded up."""
        self._tick(now_ns)
        if len(self._history) < self._needs:
            return None
        steps = (now_ns + ahead_ns) // self.slot_ns - self._last
        if not 1 <= steps <= self.slots:
            return None if steps > self.slots else self._history[-1]
        if self._ahead[0] != self._last:
            self._ahead = self._last, self._predict()
        return max(0, -int(-self._ahead[1][steps - 1] // 1))

    def _predict(self) -> list[float]:
        model = self._smoothing(
            list(map(float, self._history)), trend="add", damped_trend=True, seasonal="add",
            seasonal_periods=self.slots, initialization_method="heuristic",
        )
        if not self._fitted or self._last >= self._fit_at:
            found = model.fit(optimized=True).params
            self._fitted = {name: float(found[name]) for name in (
                "smoothing_level", "smoothing_trend", "smoothing_seasonal", "damping_trend")}
            self._fit_at = self._last + self.slots
        return [float(x) for x in model.fit(optimized=False, **self._fitted).forecast(self.slots)]


def predictive_holt_winters(
    season_ns: int, slot_ns: int, slots: int, service_ns: int, drain_ns: int, cold_ns: int, margin_ppm: int = 0
) -> Predictive:
    """By name, with plain values."""
    return Predictive(HoltWinters(season_ns, slot_ns), slots, service_ns, drain_ns, cold_ns, slot_ns, margin_ppm)
