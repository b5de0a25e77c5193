"""Error budgets that burn too fast: alerts with several windows and several rates.

Source: The Site Reliability Workbook (Google, 2018), chapter 5 "Alerting on SLOs", section 6 "Multiwindow,
Multi-Burn-Rate Alerts", table 5-8: 2 % of a 30-day budget in one hour or 5 % in six page, 10 % in three days ticket.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.control.anomaly.protocol import PPM, Alarm
from workbench.control.clock import Clock
from workbench.control.limits.answer import whole

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires while both windows burn faster than `rate_milli` / 1000 times what the budget allows. The short window ends
    the alert soon after the errors do."""

    name: str
    severity: str
    long_ns: int
    short_ns: int
    rate_milli: int


RULES = (  # shortest first; short windows are a twelfth of the long ones
    Rule("2 % in 1 h", "page", HOUR, 5 * MINUTE, 14_400),
    Rule("5 % in 6 h", "page", 6 * HOUR, 30 * MINUTE, 6_000),
    Rule("10 % in 3 d", "ticket", 3 * DAY, 6 * HOUR, 1_000),
)


class BurnRate(Clock):
    """Of all that was counted, `objective_ppm` should be good. Counts are kept in steps of `step_ns`; a window is the
    last steps, with the one under way. `update` says which rules begin to fire; `firing` which do.

    Worst case: a total outage pages after budget x rate x window (objective 99.9 %: 52 s); errors just below the
    slowest rate, spread evenly, never alarm (1 x: the budget is just used up). A window longer than what was seen
    counts what was.
    """

    def __init__(self, objective_ppm: int, rules: Sequence[Rule] = RULES, step_ns: int = MINUTE) -> None:
        if not 0 < whole("objective_ppm", objective_ppm) < PPM:
            raise ValueError(f"objective_ppm: {objective_ppm} is not below {PPM}; no error at all leaves no budget")
        self.budget_ppm, self.rules = PPM - objective_ppm, tuple(rules)
        self.step_ns = whole("step_ns", step_ns)
        for rule in self.rules:
            if not step_ns <= rule.short_ns <= rule.long_ns or rule.long_ns % step_ns or rule.short_ns % step_ns:
                raise ValueError(f"rule {rule.name}: windows {rule.short_ns} and {rule.long_ns} ns must be multiples "
                                 f"of step_ns {step_ns}, the short one first")
            whole(f"rule {rule.name}: rate_milli", rule.rate_milli)
        lengths = sorted({length for rule in self.rules for length in (rule.short_ns, rule.long_ns)})
        self._windows = {length: _Counts(length // step_ns) for length in lengths}
        self._firing: dict[str, bool] = dict.fromkeys((rule.name for rule in self.rules), False)

    def update(self, now_ns: int, bad: int, total: int) -> tuple[Alarm, ...]:
        """So many since the last update, of which so many were bad."""
        if not 0 <= bad <= total:
            raise ValueError(f"bad: {bad} is not between 0 and the total {total}")
        self._tick(now_ns)
        for window in self._windows.values():
            window.add(now_ns // self.step_ns, bad, total)
        alarms = []
        for rule in self.rules:
            fires = self._burns(rule.long_ns, rule) and self._burns(rule.short_ns, rule)
            if fires and not self._firing[rule.name]:
                rate_milli = self.rate_milli(rule.long_ns)
                alarms.append(Alarm(now_ns, rule.name, rule.severity, rate_milli, rule.rate_milli, "milli_rate"))
            self._firing[rule.name] = fires
        return tuple(alarms)

    @property
    def firing(self) -> tuple[str, ...]:
        """As of the last update."""
        return tuple(name for name, fires in self._firing.items() if fires)

    def rate_milli(self, window_ns: int) -> int:
        """How many thousandths of the allowed rate, rounded down."""
        window = self._windows[window_ns]
        return window.bad * PPM * 1000 // (window.total * self.budget_ppm) if window.total else 0

    def _burns(self, window_ns: int, rule: Rule) -> bool:
        window = self._windows[window_ns]
        return window.bad * PPM * 1000 > window.total * self.budget_ppm * rule.rate_milli


class _Counts:
    """Sums over the last steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.bad, self.total = steps, 0, 0
        self._kept: deque[tuple[int, int, int]] = deque()

    def add(self, step: int, bad: int, total: int) -> None:
        self.bad += bad
        self.total += total
        if self._kept and self._kept[-1][0] == step:
            _, b, t = self._kept.pop()
            bad, total = b + bad, t + total
        self._kept.append((step, bad, total))
        while self._kept[0][0] <= step - self.steps:
            _, b, t = self._kept.popleft()
            self.bad, self.total = self.bad - b, self.total - t
