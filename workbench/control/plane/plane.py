"""One pure object for the whole control plane: an event in, decisions out."""

from collections.abc import Callable
from typing import Any

from workbench.control.money.invoice import Invoice
from workbench.control.plane import admission, leaving
from workbench.control.plane.billing import close
from workbench.control.plane.checks import check
from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import drop, lead_on, refuse
from workbench.control.plane.events import (
    Arrived,
    Decision,
    Event,
    FirstToken,
    Gone,
    Heartbeat,
    Left,
    Notice,
    Progress,
    ReplicaDown,
    ReplicaUp,
    Report,
    Time,
    Wake,
)
from workbench.control.plane.hedges import second_attempts
from workbench.control.plane.lines import waiting
from workbench.control.plane.operations.operations import Operations
from workbench.control.plane.release import release
from workbench.control.routing.protocol import Signal

# after which somebody may be released
FREES = frozenset((Arrived, Left, Gone, ReplicaUp, ReplicaDown, Heartbeat, Notice, Time))
NEVER_NS = 1 << 126  # later than any clock


class ControlPlane:
    """Tell it what happened, in order of time; do what it answers, in that order. ValueError: the clock went back, or
    the event cannot be (`checks`); then nothing was changed.

    Every request ends in exactly one `Reject`, `Answer` or `Finish`. The rule of the first byte: after `FirstToken`
    nothing is retried and nobody preempted.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._now_ns = 0
        self._wake_ns = None if desk.operations is None else 0  # whose steps may be due before anything happens
        self._does: dict[type[Any], Callable[[Desk, int, Any], None]] = {
            Arrived: admission.arrive, FirstToken: leaving.first_token, Progress: leaving.progress,
            Left: leaving.left, Gone: leaving.gone, Report: _report, ReplicaUp: _up, ReplicaDown: _down, Time: _time,
            Heartbeat: _heartbeat, Notice: _notice,
        }

    def on(self, now_ns: int, event: Event) -> tuple[Decision, ...]:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        desk = self.desk
        check(desk, now_ns, event)
        self._now_ns = now_ns
        decided = desk.decided = []
        if event.__class__ not in FREES:  # nobody comes, goes or becomes due by it
            self._does[event.__class__](desk, now_ns, event)
            if not decided:
                return ()
        else:
            if desk.billing is not None:
                desk.billing.on_time(now_ns)
            if self._wake_ns is not None and now_ns >= self._wake_ns:  # nothing is due before
                self._wake_ns = None
                self._on_time(now_ns)
            self._does[event.__class__](desk, now_ns, event)
        if desk.orphans:
            lead_on(desk, now_ns)
        release(desk, now_ns)
        while desk.orphans:  # of who was dropped on the way
            lead_on(desk, now_ns)
            release(desk, now_ns)
        if desk.hedging is not None:
            second_attempts(desk, now_ns)
        if desk.operations is not None:
            desk.operations.after(now_ns)
        self._ask_to_wake()
        return tuple(decided)

    def close(self, now_ns: int) -> tuple[Invoice, ...]:
        """At the end: every invoice that is open, the period of `now_ns` as if it were over. Nothing can be told
        afterwards that happens before its end."""
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        if self.desk.billing is None:
            return ()
        self._now_ns, issued = close(self.desk.billing, now_ns)
        return issued

    def check(self) -> None:
        """Conservation of requests, attempts and reservations; RuntimeError says what is lost."""
        desk, tally = self.desk, self.desk.tally
        states = desk.inside.values()
        out = sum(len(state.out) for state in states)
        placed = waiting(desk.lines) + sum(state.place in ("following", "later", "out") for state in states)
        for name, have, want in (
            ("requests", tally.ended + len(desk.inside), tally.arrived),
            ("places", placed, len(desk.inside)),
            ("attempts", tally.left + out, tally.released),
            ("attempts at replicas", desk.fleet.outstanding, out),
            ("memory", len(desk.allocator) if desk.allocator is not None else out, out),
            ("running", self._running(), out),
        ):
            if have != want:
                raise RuntimeError(f"control plane at {self._now_ns} ns: {name} {have}, should be {want}")
        if desk.operations is not None:
            desk.operations.check()
        if desk.billing is not None:
            ledger = desk.billing.ledger
            revenue = ledger.balance("revenue:fees") + ledger.balance("revenue:minimum") - ledger.group("revenue")
            if revenue != tally.charged_pusd:
                raise RuntimeError(f"control plane: charged {tally.charged_pusd} pico-USD, the ledger says {revenue}")

    def _running(self) -> int:
        """As the bounds on tenants count it."""
        desk, running = self.desk, self.desk.running
        free = sum(len(state.out) for state in desk.inside.values()
                   if running is None or not running.bound(state.item.tenant))
        return free if running is None else free + sum(running.out.values())

    def _on_time(self, now_ns: int) -> None:
        """What became due, before what happened."""
        desk = self.desk
        for line in desk.lines.values():
            for dropped in line.queue.expire(now_ns):
                drop(desk, now_ns, dropped)
        while (alarm := desk.patience.pop(now_ns)) is not None:
            state = desk.whose(alarm)
            if state is not None and state.place in ("following", "held", "later"):
                leaving.abandon(desk, now_ns, state)
                refuse(desk, now_ns, state, "expired", 504, "deadline passed")
        while (alarm := desk.later.pop(now_ns)) is not None:
            leaving.again(desk, now_ns, alarm)
        if desk.operations is not None:
            desk.operations.on_time(now_ns)

    def _ask_to_wake(self) -> None:
        due_ns = self.due_ns()
        if due_ns is not None and (self._wake_ns is None or due_ns < self._wake_ns):
            self._wake_ns = due_ns
            self.desk.decided.append(Wake(due_ns))

    def due_ns(self) -> int | None:
        """When something is to be done, if nothing happens before."""
        desk, due_ns = self.desk, NEVER_NS
        due = [desk.patience.due_ns(), desk.later.due_ns()]
        if desk.hedging is not None:
            due.append(desk.hedging.due_ns())
        if desk.operations is not None:
            due.append(desk.operations.due_ns())
        for line in desk.lines.values():
            due.append(line.queue.due_ns())
            if desk.fleet.blocked and len(line):
                due.append(desk.fleet.due_ns(self._now_ns))
        for at_ns in due:
            if at_ns is not None and self._now_ns < at_ns < due_ns:
                due_ns = at_ns
        return None if due_ns == NEVER_NS else due_ns


def _report(desk: Desk, _: int, event: Report) -> None:
    desk.fleet.reported(event.replica, Signal(*event[1:]))


def _up(desk: Desk, now_ns: int, event: ReplicaUp) -> None:
    if desk.operations is None:
        desk.fleet.turned(event.replica, True)
    else:
        desk.operations.up(now_ns, event)


def _down(desk: Desk, now_ns: int, event: ReplicaDown) -> None:
    desk.fleet.turned(event.replica, False)
    if desk.operations is not None:
        desk.operations.down(now_ns, event.replica)


def _heartbeat(desk: Desk, now_ns: int, event: Heartbeat) -> None:
    if desk.operations is not None:
        desk.operations.heartbeat(now_ns, event.node)


def _notice(desk: Desk, now_ns: int, event: Notice) -> None:
    if desk.operations is None:  # a notice comes to fleets without any table of operations, too
        desk.operations = Operations(desk)
    desk.operations.notice(now_ns, event)


def _time(desk: Desk, now_ns: int, event: Time) -> None:
    """What was due is done already."""
