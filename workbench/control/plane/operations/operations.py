"""What the plane tells its operations, and in which order they act."""

from collections.abc import Mapping

from workbench.control.plane.desk import Desk
from workbench.control.plane.events import Notice, ReplicaUp
from workbench.control.plane.inside import Inside
from workbench.control.plane.operations.alarms import Alarms
from workbench.control.plane.operations.autoscale import Scaler
from workbench.control.plane.operations.cluster import Cluster
from workbench.control.plane.operations.members import Members
from workbench.control.plane.operations.rollout import Rollout


class Operations:
    """Works on the desk, appends to its decisions. None: that part is absent. `scalers` by pool.

    What is due at one instant: dead nodes first, then how many replicas, then the canary, then alarms.
    """

    def __init__(self, desk: Desk, members: Members | None = None, cluster: Cluster | None = None,
                 scalers: Mapping[str, Scaler] | None = None, rollout: Rollout | None = None,
                 alarms: Alarms | None = None) -> None:
        self.desk, self.members, self.cluster = desk, members or Members(desk), cluster
        self.scalers, self.rollout, self.alarms = dict(scalers or {}), rollout, alarms
        self._owed: list[tuple[str, str]] = []  # (pool, why): a replica to start as soon as there is a spare one
        self._due_ns = self._next_ns()

    def arrived(self, state: Inside) -> None:
        """It came in, whatever becomes of it."""
        if state.pool in self.scalers:
            self.scalers[state.pool].arrived += 1
        if self.alarms is not None:
            self.alarms.arrived()

    def first_token(self, now_ns: int, state: Inside) -> None:
        """Its client has the first byte."""
        if self.alarms is not None:
            self.alarms.first_token(now_ns, state)

    def charged(self, tenant: str, price_pusd: int) -> None:
        """Posted to the ledger."""
        if self.alarms is not None:
            self.alarms.charged(tenant, price_pusd)

    def ended(self, now_ns: int, state: Inside, outcome: str, met: bool | None) -> None:
        """`outcome` as in the tally; `met`: its tier's targets (None: it has none)."""
        if self.rollout is not None:
            self.rollout.ended(now_ns, state, outcome)
        if self.alarms is not None:
            self.alarms.ended(state, outcome, met)

    def up(self, now_ns: int, event: ReplicaUp) -> None:
        """It takes requests, if it is still the one that was started last."""
        self.members.up(now_ns, event)

    def down(self, now_ns: int, replica: int) -> None:
        """It takes no requests any more; the fleet knows."""
        self.members.down(now_ns, replica)

    def heartbeat(self, now_ns: int, node: str) -> None:
        """Of a node that nobody asked about nothing follows."""
        if self.cluster is not None:
            self.cluster.heartbeat(now_ns, node)
            self._due_ns = self._next_ns()

    def notice(self, now_ns: int, event: Notice) -> None:
        """Nobody new goes there; another replica starts, at the latest the same one, from `at_ns` on. What is on it
        then fails by events of its own."""
        replica, at_ns = event
        wanted = self.desk.fleet.seen(replica) and self.members.status[replica] in ("ready", "starting", "waiting")
        self.members.taken_ns[replica] = at_ns
        if wanted:
            self.members.drain(now_ns, replica, "its machine is taken away")
            self._owed.append((self.desk.fleet.specs[replica].pool, f"instead of replica {replica}"))

    def after(self, now_ns: int) -> None:
        """All that the event brought is decided: who drained stops, who is owed starts."""
        if self.members.draining or self._owed:
            self.members.stop_drained(now_ns)
            self._start_owed(now_ns)
            self._due_ns = self._next_ns()
        for scaler in self.scalers.values():
            scaler.passed(now_ns)

    def _start_owed(self, now_ns: int) -> None:
        members, owed, self._owed = self.members, self._owed, []
        members.taken_ns = {replica: at_ns for replica, at_ns in members.taken_ns.items() if at_ns > now_ns}
        for pool, why in owed:
            spares = members.spares(now_ns, pool)
            if spares:
                members.start(now_ns, spares[0], why)
            elif pool not in self.scalers:  # these see to it themselves
                self._owed.append((pool, why))

    def on_time(self, now_ns: int) -> None:
        """What became due."""
        if self.cluster is not None:
            self.cluster.on_time(now_ns)
        for scaler in self.scalers.values():
            scaler.on_time(now_ns)
        if self.rollout is not None:
            self.rollout.on_time(now_ns)
        if self.alarms is not None:
            self.alarms.on_time(now_ns)
        self._due_ns = self._next_ns()

    def due_ns(self) -> int | None:
        """Kept, not computed: the plane asks after every event."""
        return self._due_ns

    def _next_ns(self) -> int | None:
        due = [scaler.ticks.next_ns for scaler in self.scalers.values()]
        if self.cluster is not None and (at_ns := self.cluster.due_ns()) is not None:
            due.append(at_ns)
        if self.rollout is not None and self.rollout.begin_ns is not None:
            due.append(self.rollout.begin_ns)
        if self.alarms is not None:
            due.append(self.alarms.ticks.next_ns)
        if self._owed:
            due.extend(self.members.taken_ns.values())
        return min(due, default=None)

    def check(self) -> None:
        """RuntimeError says which replica is lost."""
        self.members.check()
        if self.cluster is not None:
            self.cluster.check()
