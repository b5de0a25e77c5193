"""Who looks at the plane when nobody does: budgets of errors and of money, and values that changed."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from workbench.control.anomaly.burn import BurnRate
from workbench.control.anomaly.protocol import Alarm, Detector
from workbench.control.limits.answer import whole
from workbench.control.plane import events
from workbench.control.plane.desk import Desk
from workbench.control.plane.inside import Inside
from workbench.control.plane.operations.budgets import Budget
from workbench.control.plane.operations.counts import SIGNALS, UNITS, Counts
from workbench.control.plane.operations.members import Members
from workbench.control.plane.operations.ticks import Ticks

SECOND = 10**9


class Alarms:
    """In each step every burn rate (by tier), every detector (by signal) and every budget (by name) is told what
    happened since the last. What was said is not said again for `quiet_ns`, but counted as `suppressed`.

    `pusd_per_replica_s` makes cost of the time between a replica's start and its stop. A budget without a tenant is of
    that cost; one with a tenant of what it was charged.
    """

    def __init__(
        self, desk: Desk, members: Members, every_ns: int = 60 * SECOND, quiet_ns: int = 3600 * SECOND,
        burn: Mapping[str, BurnRate] | None = None, changes: Sequence[tuple[str, Detector]] = (),
        budgets: Mapping[str, tuple[str, Budget]] | None = None, pusd_per_replica_s: int = 0,
    ) -> None:
        self.desk, self.members, self.ticks = desk, members, Ticks(every_ns)
        self.quiet_ns = whole("quiet_ns", quiet_ns, least=0)
        self.burn, self.changes, self.budgets = dict(burn or {}), tuple(changes), dict(budgets or {})
        self.pusd_per_replica_s = whole("pusd_per_replica_s", pusd_per_replica_s, least=0)
        self.counts = Counts()
        self.suppressed = 0
        self._charged_pusd: dict[str, int] = {}  # by tenant, since ever
        self._cost_pusd = 0
        self._said_ns: dict[str, int] = {}

    def arrived(self) -> None:
        self.counts.arrived += 1

    def first_token(self, now_ns: int, state: Inside) -> None:
        self.counts.first_tokens += 1
        self.counts.ttft_ns += now_ns - state.item.arrived_ns

    def charged(self, tenant: str, price_pusd: int) -> None:
        self.counts.charged_pusd += price_pusd
        self._charged_pusd[tenant] = self._charged_pusd.get(tenant, 0) + price_pusd

    def ended(self, state: Inside, outcome: str, met: bool | None) -> None:
        if outcome != "rejected" and not (outcome == "cancelled" and state.first_ns is not None):
            self.counts.over(state.item.tier, outcome, met)

    def on_time(self, now_ns: int) -> None:
        if not self.ticks.due(now_ns):
            return
        counts, self.counts = self.counts, Counts()
        cost_pusd = self.members.paid_ns(now_ns) * self.pusd_per_replica_s // SECOND
        counts.cost_pusd, self._cost_pusd = cost_pusd - self._cost_pusd, cost_pusd
        for tier, burn in self.burn.items():
            for alarm in burn.update(now_ns, *counts.tiers.get(tier, (0, 0))):
                self._say(now_ns, f"{tier} burns: ", alarm)
        for signal, detector in self.changes:
            value = SIGNALS[signal](counts)
            changed = None if value is None else detector.update(now_ns, value)
            if changed is not None:
                self._say(now_ns, f"{signal} changed: ", changed, UNITS[signal])
        for name, (tenant, budget) in self.budgets.items():
            total_pusd = self._charged_pusd.get(tenant, 0) if tenant else cost_pusd
            for alarm in budget.look(now_ns, total_pusd):
                self._say(now_ns, f"budget {name}: ", alarm)

    def _say(self, now_ns: int, whose: str, alarm: Alarm, unit: str = "") -> None:
        """`unit` of the value, for a detector that has none of its own."""
        what = whose + alarm.what
        last_ns = self._said_ns.get(what)
        if last_ns is not None and now_ns - last_ns < self.quiet_ns:
            self.suppressed += 1
            return
        self._said_ns[what] = now_ns
        severity = cast("Literal['page', 'ticket', 'notice']", alarm.severity)
        self.desk.decided.append(events.Alarm(what, severity, alarm.value, alarm.limit, alarm.unit or unit))
