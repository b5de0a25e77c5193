"""Enough replicas for what runs, and more to work off what waits in a stated time."""

from workbench.control.capacity.protocol import Observed, ceil_div
from workbench.control.limits.answer import whole


class QueueBased:
    """A replica runs `slots` requests of `service_ns` each; a queue is to be gone within `drain_ns`.

    The same idea as KEDA's queue-length triggers and Amazon's backlog per instance (EC2 Auto Scaling, "Scaling policy
    based on Amazon SQS"), where backlog per instance = acceptable latency / processing time = `drain_ns / service_ns`.
    """

    def __init__(self, slots: int, service_ns: int, drain_ns: int) -> None:
        self.slots, self.service_ns = whole("slots", slots), whole("service_ns", service_ns)
        self.drain_ns = whole("drain_ns", drain_ns)

    def decide(self, now_ns: int, observed: Observed) -> int:  # noqa: ARG002 - part of the protocol
        work_ns = observed.running * self.drain_ns + observed.waiting * self.service_ns
        return ceil_div(work_ns, self.slots * self.drain_ns)
