"""Failover: a node that is silent too long is taken for dead, its groups go elsewhere, and it comes back by proof.

A silent node may be alive behind a partition: every start of a group carries a new fencing token, so what the old one
still writes is refused (leases.py). That is what makes taking it for dead safe.
"""

from collections.abc import Mapping
from typing import NamedTuple

from workbench.control.clock import Clock
from workbench.control.coordination.placement import Group, Place, Placement, Refused
from workbench.control.limits.answer import whole

SECOND = 1_000_000_000


class Step(NamedTuple):
    """One thing that happened, in order."""

    what: str  # down, up, started, stopped, waiting
    subject: str  # node or group
    places: tuple[Place, ...] = ()
    token: int = 0  # of a start
    why: str = ""


class Recovery(Clock):
    """`dead_after_ns` without a heartbeat: down. Then `probation_ns` of heartbeats without such a gap: up again, so
    that a node which comes and goes is used once in that time at most. Groups that found no room wait, the best class
    first, then the earliest; smaller ones do not overtake within a class."""

    def __init__(
        self, nodes: Mapping[str, int], dead_after_ns: int = 10 * SECOND, probation_ns: int = 60 * SECOND,
        first_token: int = 1,
    ) -> None:
        self.placement = Placement(nodes)
        self.dead_after_ns = whole("dead_after_ns", dead_after_ns)
        self.probation_ns = whole("probation_ns", probation_ns, least=0)
        self._token = whole("first_token", first_token)
        self._heard_ns = dict.fromkeys(sorted(nodes), 0)
        self._down: dict[str, int | None] = {}  # node -> since when it is heard of again
        self._groups: dict[str, Group] = {}
        self._waiting: dict[str, int] = {}  # group -> sequence
        self._sequence = 0

    def heartbeat(self, now_ns: int, node: str) -> tuple[Step, ...]:
        """The node was heard of."""
        if node not in self._heard_ns:
            raise ValueError(f"node {node}: unknown; known: {', '.join(self._heard_ns)}")
        steps = self.on_time(now_ns)
        self._heard_ns[node] = now_ns
        if node in self._down and self._down[node] is None:
            self._down[node] = now_ns
        return steps + self.on_time(now_ns)

    def start(self, now_ns: int, group: Group) -> tuple[Step, ...]:
        """Wanted from now on, wherever there is room."""
        steps = self.on_time(now_ns)
        if group.id in self._groups:
            raise ValueError(f"group {group.id}: is wanted already; stop it first")
        self._groups[group.id] = group
        return steps + self._wait(group) + self._settle()

    def stop(self, now_ns: int, group_id: str) -> tuple[Step, ...]:
        """Not wanted any more."""
        steps = self.on_time(now_ns)
        if self._groups.pop(group_id, None) is None:
            raise ValueError(f"group {group_id}: is not wanted, so there is nothing to stop")
        if self._waiting.pop(group_id, None) is None:
            steps += (Step("stopped", group_id, self.placement.remove(group_id), why="asked"),)
        return steps + self._settle()

    def due_ns(self) -> int | None:
        dead = [heard + self.dead_after_ns for n, heard in self._heard_ns.items() if self._silent_counts(n)]
        back = [since + self.probation_ns for since in self._down.values() if since is not None]
        return min(dead + back, default=None)

    def on_time(self, now_ns: int) -> tuple[Step, ...]:
        """Deaths first, then returns, then who waits."""
        self._tick(now_ns)
        steps: list[Step] = []
        for node, heard_ns in self._heard_ns.items():
            if now_ns - heard_ns >= self.dead_after_ns and self._silent_counts(node):
                steps += self._dead(node)
        for node, since_ns in list(self._down.items()):
            if since_ns is not None and now_ns - since_ns >= self.probation_ns:
                del self._down[node]
                steps.append(Step("up", node))
        return (*steps, *self._settle()) if steps else ()

    @property
    def waiting(self) -> tuple[str, ...]:
        return tuple(g.id for g in self._queue())

    @property
    def down(self) -> tuple[str, ...]:
        return tuple(self._down)

    def _silent_counts(self, node: str) -> bool:
        """Silence changes something: it is up, or on probation."""
        return node not in self._down or self._down[node] is not None

    def _dead(self, node: str) -> list[Step]:
        if node in self._down:
            self._down[node] = None  # silent on probation: from the beginning
            return []
        self._down[node] = None
        steps = [Step("down", node, why="no heartbeat")]
        for group_id in self.placement.on(node):
            steps.append(Step("stopped", group_id, self.placement.remove(group_id), why=f"{node} is down"))
            steps += self._wait(self._groups[group_id])
        return steps

    def _wait(self, group: Group) -> tuple[Step, ...]:
        self._sequence += 1
        self._waiting[group.id] = self._sequence
        return (Step("waiting", group.id),)

    def _queue(self) -> list[Group]:
        return sorted((self._groups[g] for g in self._waiting), key=lambda g: (g.priority, self._waiting[g.id]))

    def _settle(self) -> tuple[Step, ...]:
        steps, blocked = [], None
        for group in self._queue():
            if group.priority == blocked:
                continue
            places = self.placement.place(group, exclude=tuple(self._down))
            if isinstance(places, Refused):
                blocked = group.priority
                continue
            del self._waiting[group.id]
            steps.append(Step("started", group.id, places, self._token))
            self._token += 1
        return tuple(steps)
