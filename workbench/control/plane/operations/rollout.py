"""A canary driven by the plane's requests: what ended on either version widens it, promotes it or takes it back."""

from workbench.control.limits.answer import whole
from workbench.control.models.canary import Canary, Step
from workbench.control.plane.desk import Desk
from workbench.control.plane.events import Shift
from workbench.control.plane.inside import Inside


class Rollout:
    """Begins at `begin_ns`. A failure is an error, a request that was shed or expired, or a missed first-token target
    of its tier. Not asked: what an answer that was kept says nothing about, what its client was not allowed, and who
    left in the middle of an answer."""

    def __init__(self, desk: Desk, canary: Canary, begin_ns: int = 0) -> None:
        self.desk, self.canary = desk, canary
        self.begin_ns: int | None = whole("begin_ns", begin_ns, least=0)

    def on_time(self, now_ns: int) -> None:
        if self.begin_ns is not None and now_ns >= self.begin_ns:
            self.begin_ns = None
            self._say(self.canary.begin(now_ns))

    def ended(self, now_ns: int, state: Inside, outcome: str) -> None:
        if self.begin_ns is not None or outcome in ("answered", "rejected"):
            return
        if outcome == "cancelled" and state.first_ns is not None:
            return
        self._say(self.canary.outcome(now_ns, state.item.model, outcome != "ok" or self._late(state)))

    def _late(self, state: Inside) -> bool:
        sla, item = self.desk.sla, state.item
        target = None if sla is None else sla.targets.get(item.tier)
        if target is None or target.ttft_ns is None or state.first_ns is None:
            return False
        return state.first_ns - item.arrived_ns > target.ttft_ns

    def _say(self, step: Step | None) -> None:
        if step is not None:
            self.desk.decided.append(Shift(step.alias, step.act, step.share_ppm, step.reason))
