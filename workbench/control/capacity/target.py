"""Keep a load at its target, as Kubernetes' Horizontal Pod Autoscaler does."""

from workbench.control.capacity.protocol import PPM, Observed, ceil_div
from workbench.control.limits.answer import whole


class TargetTracking:
    """replicas x load / target, rounded up; nothing while the ratio is within the tolerance.

    Source: kubernetes.io, Horizontal Pod Autoscaling, "Algorithm details". Replicas that start count as idle when it
    would scale out (so that a cold start is not answered by more of it), and if then the ratio lies within the
    tolerance or below, nothing happens. Worst case: with fewer than 1 / tolerance replicas one more moves the
    load by more than the tolerance, and only rounding up keeps it from undoing its last step.
    """

    def __init__(self, target_ppm: int = 700_000, tolerance_ppm: int = 100_000) -> None:
        self.target_ppm = whole("target_ppm", target_ppm)
        self.tolerance_ppm = whole("tolerance_ppm", tolerance_ppm, least=0)

    def decide(self, now_ns: int, observed: Observed) -> int:  # noqa: ARG002 - part of the protocol
        ready, load_ppm = observed.ready, observed.load_ppm
        if ready == 0:
            return observed.replicas
        over = self._sign(load_ppm, ready)
        if over > 0 and observed.starting:
            over = max(0, self._sign(load_ppm, observed.replicas))
        if over == 0:
            return observed.replicas
        return ceil_div(load_ppm, self.target_ppm)

    def _sign(self, load_ppm: int, replicas: int) -> int:
        """1: above the tolerance, -1: below it, 0: within."""
        at, target = load_ppm * PPM, replicas * self.target_ppm
        if abs(at - target * PPM) <= target * self.tolerance_ppm:
            return 0
        return 1 if at > target * PPM else -1


class Thresholds:
    """The naive one: one more above `high_ppm`, one fewer below `low_ppm`, of the mean load.

    Flaps between N and N-1 for ever wherever N replicas are below the low mark and N-1 above the high one: for every
    constant load L with (N-1) high < L < N low. Here to show it.
    """

    def __init__(self, high_ppm: int = 700_000, low_ppm: int = 600_000) -> None:
        self.high_ppm, self.low_ppm = whole("high_ppm", high_ppm), whole("low_ppm", low_ppm)
        if low_ppm >= high_ppm:
            raise ValueError(f"low_ppm: {low_ppm} is not below high_ppm {high_ppm}")

    def decide(self, now_ns: int, observed: Observed) -> int:  # noqa: ARG002 - part of the protocol
        more = observed.load_ppm > observed.ready * self.high_ppm
        fewer = observed.load_ppm < observed.ready * self.low_ppm
        return observed.replicas + more - fewer
