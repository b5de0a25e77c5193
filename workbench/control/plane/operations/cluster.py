"""Replicas on nodes: placed as groups of GPUs, failed over where a node falls silent, and fenced by tokens."""

from collections import deque
from collections.abc import Mapping, Sequence

from workbench.control.coordination.leases import Leases
from workbench.control.coordination.placement import Group
from workbench.control.coordination.recovery import SECOND, Recovery, Step
from workbench.control.limits.answer import whole
from workbench.control.plane import leaving
from workbench.control.plane.desk import Desk
from workbench.control.plane.events import Left
from workbench.control.plane.operations.members import Members


class Cluster:
    """Every replica is a group of `tp` GPUs on one node and holds a lease of `lease_ns` there (default:
    `dead_after_ns`), renewed by the node's heartbeats. A silent node is taken for dead after `dead_after_ns`; its
    replicas start elsewhere, but none before its old lease ended: until then who holds it may still write. The lease's
    token is the start's.
    """

    def __init__(self, desk: Desk, members: Members, nodes: Mapping[str, int], dead_after_ns: int = 10 * SECOND,
                 probation_ns: int = 60 * SECOND, tp: int = 1, lease_ns: int | None = None) -> None:
        if not nodes:
            raise ValueError("nodes: none; give at least one, with its number of GPUs")
        self.desk, self.members, self.tp = desk, members, whole("tp", tp)
        self.recovery = Recovery(nodes, dead_after_ns, probation_ns)
        self.leases = Leases(dead_after_ns if lease_ns is None else whole("lease_ns", lease_ns))
        self._every = tuple(sorted(nodes))
        self.nodes: dict[int, str] = {}  # where each one is that was placed
        self._why: dict[int, tuple[str, int]] = {}  # and since when it is wanted there
        self._steps: deque[Step] = deque()
        self._doing = False
        self._held: list[int] = []  # placed, but the lease of before is not over
        for replica, status in enumerate(members.status):
            if status != "spare":
                self._place_first(replica)
        self._plan(0)

    def _place_first(self, replica: int) -> None:
        """What was there before the plane."""
        placed = [step for step in self.recovery.start(0, Group(str(replica), self.tp)) if step.what == "started"]
        if not placed:
            raise ValueError(f"cluster.nodes: no room for replica {replica}, {self.tp} GPUs on one node; give more, or "
                             "started = false")
        self.nodes[replica] = placed[0].places[0].node
        self.leases.acquire(0, str(replica), self.nodes[replica])

    def known(self, node: str) -> None:
        """ValueError: nobody knows a node of this name."""
        if node not in self._every:
            raise ValueError(f"node {node}: unknown; known: {', '.join(self._every)}")

    def heartbeat(self, now_ns: int, node: str) -> None:
        """Renews what runs there, unless the node was taken for dead by now."""
        self._do(now_ns, self.recovery.heartbeat(now_ns, node))
        for name in self.recovery.placement.on(node):
            lease = self.leases.holder(now_ns, name)
            if lease is not None and lease.holder == node:
                self.leases.renew(now_ns, name, lease.token)
        self._plan(now_ns)

    def start(self, now_ns: int, replica: int, why: str) -> None:
        self._why[replica] = why, now_ns
        self._do(now_ns, self.recovery.start(now_ns, Group(str(replica), self.tp)))
        self._plan(now_ns)

    def stop(self, now_ns: int, replica: int) -> None:
        """Its GPUs and its lease are free."""
        lease = self.leases.holder(now_ns, str(replica))
        if lease is not None:
            self.leases.release(now_ns, str(replica), lease.token)
        self._away(replica)
        self._do(now_ns, self.recovery.stop(now_ns, str(replica)))
        self._plan(now_ns)

    def on_time(self, now_ns: int) -> None:
        self._do(now_ns, self.recovery.on_time(now_ns))
        for replica in list(self._held):
            self._begin(now_ns, replica)
        self._plan(now_ns)

    def due_ns(self) -> int | None:
        return self._due_ns

    def check(self) -> None:
        """Whoever is wanted is placed or waits for room, and nobody else."""
        wanted = {i for i, status in enumerate(self.members.status) if status != "spare"}
        placed = {i for i in range(len(self.members.status)) if self.recovery.placement.places(str(i))}
        waiting = {int(name) for name in self.recovery.waiting}
        if placed & waiting or placed | waiting != wanted or placed != set(self.nodes):
            raise RuntimeError(f"operations: wanted {sorted(wanted)}, placed {sorted(placed)} ({self.nodes}), waiting "
                               f"{sorted(waiting)}")

    def _do(self, now_ns: int, steps: Sequence[Step]) -> None:
        """In the order in which they came to be: what a step brings about comes after those that were there, and may
        undo them, as who drained is not wanted elsewhere."""
        self._steps.extend(steps)
        if self._doing:
            return
        self._doing = True
        try:
            while self._steps:
                self._step(now_ns, self._steps.popleft())
        finally:
            self._doing = False

    def _step(self, now_ns: int, step: Step) -> None:
        if step.what == "stopped" and step.why != "asked":
            self._lost(now_ns, int(step.subject), step.why)
        elif step.what == "started" and self.recovery.placement.places(step.subject) == step.places:
            replica = int(step.subject)
            self.nodes[replica] = step.places[0].node
            why, since_ns = self._why[replica]
            if since_ns < now_ns:
                self._why[replica] = f"{why}; waited since {since_ns // SECOND} s for a node", now_ns
            self._held.append(replica)
            self._begin(now_ns, replica)

    def _begin(self, now_ns: int, replica: int) -> None:
        lease = self.leases.acquire(now_ns, str(replica), self.nodes[replica])
        if lease is not None:
            self._held.remove(replica)
            self.members.begin(now_ns, replica, lease.token, lease.holder, self._why[replica][0])

    def _lost(self, now_ns: int, replica: int, why: str) -> None:
        """What is on it goes elsewhere, if its client has no byte yet; else it ends with what went out."""
        self._away(replica)
        self._why[replica] = why, now_ns
        for state in list(self.desk.inside.values()):
            for attempt in [number for number, where in state.out.items() if where == replica]:
                got = state.sent_tok
                leaving.left(self.desk, now_ns, Left(state.item.request_id, attempt, "failure",
                                                     state.item.prompt_tok if got else 0, 0, got, f"node lost: {why}"))
        self.members.lost(now_ns, replica, why)

    def _away(self, replica: int) -> None:
        self.nodes.pop(replica, None)
        if replica in self._held:
            self._held.remove(replica)

    def _plan(self, now_ns: int) -> None:
        """When to be asked again, kept: the plane wants to know after every event."""
        due = [self.recovery.due_ns()]
        due += [lease.expires_ns for replica in self._held
                if (lease := self.leases.holder(now_ns, str(replica))) is not None]
        self._due_ns = min((at_ns for at_ns in due if at_ns is not None), default=None)
