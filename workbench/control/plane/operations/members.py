"""What became of each replica: wanted, started, serving, draining, stopped, broken; and the token of its start."""

from typing import TYPE_CHECKING, Literal

from workbench.control.coordination.leases import Fence
from workbench.control.plane.desk import Desk
from workbench.control.plane.events import ReplicaUp, Start, Stop

if TYPE_CHECKING:
    from workbench.control.plane.operations.cluster import Cluster  # it starts and stops members itself

# spare: nobody wants it. waiting: wanted, no node has begun it yet. Neither costs anything.
# starting: begun, not up. down: it broke, and comes back by itself
Status = Literal["spare", "waiting", "starting", "ready", "draining", "down"]
FREE: tuple[Status, ...] = ("spare", "waiting")


class Members:
    """Tokens grow over all starts. After a start or a stop, who says that it is up by an older token is refused:
    it is a process that somebody took for dead."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        fleet = desk.fleet  # which may have run for a while before anybody operates it
        self.status: list[Status] = ["ready" if up else "down" if spec.started else "spare"
                                     for up, spec in zip(fleet.up, fleet.specs, strict=True)]
        self.ready_ns: list[int | None] = [0 if up else None for up in fleet.up]
        self.given = [0] * len(fleet.specs)  # the last token of each one's starts
        self.cluster: Cluster | None = None
        self.draining: dict[int, str] = {}  # why
        self.taken_ns: dict[int, int] = {}  # its machine goes away then; not to be started before
        self._fence = Fence()
        self._token = 0
        self._paid_ns = self._at_ns = 0
        self._paying = sum(status not in FREE for status in self.status)

    def of(self, pool: str, *statuses: Status) -> list[int]:
        """By number."""
        return [i for i in self.desk.fleet.pools[pool] if self.status[i] in statuses]

    def spares(self, now_ns: int, pool: str) -> list[int]:
        """Those that may be started now."""
        return [i for i in self.of(pool, "spare") if self.taken_ns.get(i, 0) <= now_ns]

    def start(self, now_ns: int, replica: int, why: str) -> None:
        """A spare one; on a cluster as soon as there is room."""
        self._turn(now_ns, replica, "waiting")
        if self.cluster is None:
            self.begin(now_ns, replica, self._token + 1, "", why)
        else:
            self.cluster.start(now_ns, replica, why)

    def begin(self, now_ns: int, replica: int, token: int, node: str, why: str) -> None:
        """The start of one that is wanted, with a token above all before."""
        self._turn(now_ns, replica, "starting")
        self._token = self.given[replica] = token
        self._fence.admit(str(replica), token)
        self.desk.decided.append(Start(replica, token, node, why))

    def drain(self, now_ns: int, replica: int, why: str) -> None:
        """Nobody new; it stops when nobody is left. One that is not up stops at once."""
        if self.status[replica] == "ready":
            self._turn(now_ns, replica, "draining")
            self.draining[replica] = why
        elif self.status[replica] in ("waiting", "starting"):
            self.stop(now_ns, replica, why)

    def stop_drained(self, now_ns: int) -> None:
        """Those that nobody is on any more."""
        for replica in [i for i in self.draining if not self.desk.fleet.seen(i).outstanding]:
            self.stop(now_ns, replica, self.draining[replica])

    def stop(self, now_ns: int, replica: int, why: str) -> None:
        """It is a spare one again."""
        self._end(now_ns, replica, "spare", why)
        if self.cluster is not None:
            self.cluster.stop(now_ns, replica)

    def lost(self, now_ns: int, replica: int, why: str) -> None:
        """Its node is taken for dead. It is to start elsewhere, if it is still wanted."""
        if self.status[replica] == "draining":
            self.stop(now_ns, replica, why)
        else:
            self._end(now_ns, replica, "waiting", why)

    def up(self, now_ns: int, event: ReplicaUp) -> None:
        """Stale tokens are counted, nothing else. `checks` has seen to it that it was given this token."""
        replica, token = event
        unplaced = self.cluster is not None and self.status[replica] in FREE
        if unplaced or not self._fence.admit(str(replica), token):
            self.desk.tally.fenced += 1
        elif self.status[replica] not in ("ready", "draining"):
            self._turn(now_ns, replica, "ready")
            self.ready_ns[replica] = now_ns

    def down(self, now_ns: int, replica: int) -> None:
        """What drains stays so: it stops when what was on it has left."""
        if self.status[replica] in ("ready", "starting"):
            self._turn(now_ns, replica, "down")

    def paid_ns(self, now_ns: int) -> int:
        """Replica time so far: from the decision to start it, or the beginning, to the stop. Waiting for a node is
        free."""
        return self._paid_ns + self._paying * (now_ns - self._at_ns)

    def check(self) -> None:
        """Whoever takes requests is ready; whoever is on a node is wanted."""
        for i, status in enumerate(self.status):
            if self.desk.fleet.up[i] != (status == "ready"):
                raise RuntimeError(f"operations: replica {i} is {status}, but the fleet has up={self.desk.fleet.up[i]}")
            if (i in self.draining) != (status == "draining"):
                raise RuntimeError(f"operations: replica {i} is {status}, but not so on the list of those that drain")
            if status in FREE and self.desk.fleet.seen(i).outstanding:
                raise RuntimeError(f"operations: replica {i} was stopped with requests on it")
        if self._paying != sum(status not in FREE for status in self.status):
            raise RuntimeError(f"operations: {self._paying} replicas are paid for, the states say otherwise")

    def _turn(self, now_ns: int, replica: int, status: Status) -> None:
        self._paid_ns, self._at_ns = self.paid_ns(now_ns), now_ns
        self._paying += (status not in FREE) - (self.status[replica] not in FREE)
        self.status[replica] = status
        self.ready_ns[replica] = None if status != "draining" else self.ready_ns[replica]
        self.draining.pop(replica, None)
        self.desk.fleet.turned(replica, status == "ready")

    def _end(self, now_ns: int, replica: int, status: Status, why: str) -> None:
        """Whatever it says from now on is late: also by its last token. Of one that was not begun nobody has to hear.
        """
        if self.status[replica] not in FREE:
            self._fence.admit(str(replica), self.given[replica] + 1)
            self.desk.decided.append(Stop(replica, why))
        self._turn(now_ns, replica, status)
