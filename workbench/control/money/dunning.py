"""Dunning: what happens, and when, to an invoice that nobody pays.

A ladder of steps, each so long after the due date: charge again, remind, suspend, write off. A dispute stops the
clock of its invoice. Source: docs.stripe.com/billing/revenue-recovery (retries, then cancel or leave past due).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from workbench.control.money.amounts import integer
from workbench.control.money.errors import ClockWentBack
from workbench.control.money.periods import DAY_NS

ACTIONS = ("charge", "remind", "suspend", "write_off")
LADDER = ((0, "charge"), (3 * DAY_NS, "charge"), (3 * DAY_NS, "remind"), (7 * DAY_NS, "charge"),
          (14 * DAY_NS, "suspend"), (60 * DAY_NS, "write_off"))


class Step(NamedTuple):
    """One action for the plane to carry out; `resume` follows a `suspend` once all of a tenant's invoices are paid."""

    at_ns: int
    action: str
    tenant: str
    invoice: str


@dataclass(slots=True)
class _Case:
    tenant: str
    due_ns: int  # moved by the time for which its clock stood still
    step: int = 0
    stopped_ns: int | None = None
    suspended: bool = False


class Dunning:
    """`ladder`: (time after the due date, action), in the order of time."""

    def __init__(self, ladder: Sequence[tuple[int, str]] = LADDER) -> None:
        self.ladder = tuple((integer("ladder", after_ns, 0), action) for after_ns, action in ladder)
        for (after_ns, action), (next_ns, _) in zip(self.ladder, self.ladder[1:] + self.ladder[-1:], strict=True):
            if action not in ACTIONS or next_ns < after_ns:
                raise ValueError(f"ladder: {action} at {after_ns} ns: in the order of time, each one of "
                                 f"{', '.join(ACTIONS)}")
        self._cases: dict[str, _Case] = {}
        self._timers: list[tuple[int, str, int]] = []
        self._now_ns = -(1 << 126)

    def owed(self, now_ns: int, invoice: str, tenant: str, due_ns: int) -> None:
        """An invoice was issued (or is owed again after a lost dispute); told again it changes nothing."""
        self._tick(now_ns)
        if invoice not in self._cases and self.ladder:
            self._cases[invoice] = _Case(tenant, due_ns)
            self._arm(invoice)

    def paid(self, now_ns: int, invoice: str) -> list[Step]:
        """Ends it, whatever the state."""
        self._tick(now_ns)
        case = self._cases.pop(invoice, None)
        if case is None or not case.suspended or self.suspended(case.tenant):
            return []
        return [Step(now_ns, "resume", case.tenant, invoice)]

    def stop(self, now_ns: int, invoice: str) -> None:
        """A dispute: no step until `go_on`."""
        self._tick(now_ns)
        case = self._cases.get(invoice)
        if case is not None and case.stopped_ns is None:
            case.stopped_ns = now_ns

    def go_on(self, now_ns: int, invoice: str) -> None:
        """What was still to come is later by as long as it stood still."""
        self._tick(now_ns)
        case = self._cases.get(invoice)
        if case is not None and case.stopped_ns is not None:
            case.due_ns += now_ns - case.stopped_ns
            case.stopped_ns = None
            self._arm(invoice)

    def suspended(self, tenant: str) -> bool:
        return any(case.suspended for case in self._cases.values() if case.tenant == tenant)

    def due_ns(self) -> int | None:
        """When the next step is."""
        while self._timers and not self._holds(*self._timers[0]):
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def on_time(self, now_ns: int) -> list[Step]:
        """All steps that are due, in the order of time, then of the invoice's number."""
        self._tick(now_ns)
        steps = list[Step]()
        while (due_ns := self.due_ns()) is not None and due_ns <= now_ns:
            _, invoice, at = heappop(self._timers)
            case, action = self._cases[invoice], self.ladder[at][1]
            steps.append(Step(due_ns, action, case.tenant, invoice))
            case.step += 1
            case.suspended |= action == "suspend"
            if action == "write_off":
                case.step = len(self.ladder)
            self._arm(invoice)
        return steps

    def _arm(self, invoice: str) -> None:
        case = self._cases[invoice]
        if case.step < len(self.ladder):
            heappush(self._timers, (case.due_ns + self.ladder[case.step][0], invoice, case.step))

    def _holds(self, at_ns: int, invoice: str, step: int) -> bool:
        case = self._cases.get(invoice)
        return (case is not None and case.stopped_ns is None and case.step == step
                and at_ns == case.due_ns + self.ladder[step][0])

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ClockWentBack(self._now_ns, now_ns)
        self._now_ns = now_ns
