"""How many replicas a pool has: an autoscaler is asked in regular steps, spare replicas start, others drain."""

from collections.abc import Sequence
from typing import Literal

from workbench.control.capacity.protocol import PPM, Autoscaler, Observed, ceil_div
from workbench.control.capacity.scale_in import Member, ScaleIn
from workbench.control.limits.answer import whole
from workbench.control.plane.desk import Desk
from workbench.control.plane.operations.members import Members
from workbench.control.plane.operations.ticks import Ticks

Load = Literal["outstanding", "kv"]


class Scaler:
    """Of one pool. It sees what the plane knows: what it sent and what is not over, who waits, who came.

    What runs is the mean since the last step, to the nanosecond: a sample at the step itself would see 4 requests where
    4.02 are, and stop a replica too many. It counts what runs on replicas that drain, too: under a constant load
    as much comes again elsewhere. `load`: "outstanding", what runs of `slots`; or "kv", the memory in use on ready
    replicas by their last reports (none: 0), as old as these are.
    """

    def __init__(self, desk: Desk, members: Members, pool: str, autoscaler: Autoscaler, every_ns: int,
                 scale_in: ScaleIn, slots: int, load: Load = "outstanding") -> None:
        if load not in ("outstanding", "kv"):
            raise ValueError(f"load {load!r}: is neither outstanding nor kv")
        self.ticks = Ticks(every_ns)
        self.desk, self.members, self.pool, self.autoscaler = desk, members, pool, autoscaler
        self.scale_in, self.slots, self.load = scale_in, whole("slots", slots), load
        self.arrived = 0  # since the last step
        self._alone = len(desk.fleet.pools) == 1
        self._area_ns = self._out = self._at_ns = self._since_ns = 0

    def passed(self, now_ns: int) -> None:
        """Told after everything that may change how many requests are out."""
        self._area_ns += self._out * (now_ns - self._at_ns)
        self._at_ns = now_ns
        tally, fleet = self.desk.tally, self.desk.fleet
        self._out = tally.released - tally.left if self._alone else sum(
            fleet.seen(i).outstanding for i in fleet.pools[self.pool])

    def on_time(self, now_ns: int) -> None:
        if not self.ticks.due(now_ns):
            return
        observed = self.observed(now_ns)
        self.arrived = self._area_ns = 0
        self._since_ns = now_ns
        wanted, have = self.autoscaler.decide(now_ns, observed), observed.replicas
        if wanted > have:
            for replica in self.members.spares(now_ns, self.pool)[: wanted - have]:
                self.members.start(now_ns, replica, f"{wanted} wanted, {have} there")
        elif wanted < have:
            for replica in self.scale_in.pick(now_ns, self._members(), have - wanted):
                self.members.drain(now_ns, replica, f"{wanted} wanted, {have} there")

    def observed(self, now_ns: int) -> Observed:
        """As it would be asked now."""
        self.passed(now_ns)
        members, length_ns = self._members(), now_ns - self._since_ns
        area_ns, length_ns = (self._area_ns, length_ns) if length_ns else (self._out, 1)
        ready = [one for one in members if one.ready_ns is not None]
        return Observed(
            len(ready), len(members) - len(ready), ceil_div(area_ns, length_ns), len(self.desk.lines[self.pool]),
            self.arrived, self._kv_ppm(ready) if self.load == "kv" else area_ns * PPM // (length_ns * self.slots),
            sum(self.scale_in.protected(now_ns, one) for one in ready))

    def _members(self) -> list[Member]:
        """Ready ones, those that start and those that wait for a node."""
        members = self.members
        return [Member(i, members.ready_ns[i], self.desk.fleet.seen(i).outstanding)
                for i in members.of(self.pool, "ready", "starting", "waiting")]

    def _kv_ppm(self, ready: Sequence[Member]) -> int:
        signals = [self.desk.fleet.seen(one.replica).signal for one in ready]
        return sum(signal.kv_used_ppm for signal in signals if signal is not None)
