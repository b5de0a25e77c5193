"""How many replicas a pool has: an autoscaler is asked in regular steps, spare replicas start, others drain."""

from typing import Literal

from workbench.control.capacity.protocol import PPM, Autoscaler, Observed
from workbench.control.capacity.scale_in import Member, ScaleIn
from workbench.control.limits.answer import whole
from workbench.control.plane.desk import Desk
from workbench.control.plane.operations.members import Members
from workbench.control.plane.operations.ticks import Ticks

Load = Literal["outstanding", "kv"]


class Scaler:
    """Of one pool. It sees what the plane knows: what it sent and what is not over, who waits, who came.

    `load`: of each ready replica what is out there of `slots`, or the memory in use by its last report (none: 0), whose
    age is the reports'. What drains counts neither as a replica nor as load: its work will not come again.
    """

    def __init__(self, desk: Desk, members: Members, pool: str, autoscaler: Autoscaler, every_ns: int,
                 scale_in: ScaleIn, slots: int, load: Load = "outstanding") -> None:
        if load not in ("outstanding", "kv"):
            raise ValueError(f"load {load!r}: is neither outstanding nor kv")
        self.ticks = Ticks(every_ns)
        self.desk, self.members, self.pool, self.autoscaler = desk, members, pool, autoscaler
        self.scale_in, self.slots, self.load = scale_in, whole("slots", slots), load
        self.arrived = 0  # since the last step

    def on_time(self, now_ns: int) -> None:
        if not self.ticks.due(now_ns):
            return
        observed = self.observed(now_ns)
        self.arrived = 0
        wanted, have = self.autoscaler.decide(now_ns, observed), observed.replicas
        if wanted > have:
            for replica in self.members.spares(now_ns, self.pool)[: wanted - have]:
                self.members.start(now_ns, replica, f"{wanted} wanted, {have} there")
        elif wanted < have:
            for replica in self.scale_in.pick(now_ns, self._members(), have - wanted):
                self.members.drain(now_ns, replica, f"{wanted} wanted, {have} there")

    def observed(self, now_ns: int) -> Observed:
        """As it would be asked now."""
        members = self._members()
        ready = [one for one in members if one.ready_ns is not None]
        return Observed(
            len(ready), len(members) - len(ready), sum(one.outstanding for one in ready),
            len(self.desk.lines[self.pool]), self.arrived, sum(self._load_ppm(one) for one in ready),
            sum(self.scale_in.protected(now_ns, one) for one in ready))

    def _members(self) -> list[Member]:
        """Ready ones and those that start."""
        members = self.members
        return [Member(i, members.ready_ns[i], self.desk.fleet.seen(i).outstanding)
                for i in members.of(self.pool, "ready", "starting")]

    def _load_ppm(self, one: Member) -> int:
        if self.load == "outstanding":
            return one.outstanding * PPM // self.slots
        signal = self.desk.fleet.seen(one.replica).signal
        return signal.kv_used_ppm if signal is not None else 0
