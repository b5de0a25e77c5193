"""Tenants with a counter each; who has the least is next. The frame of start-time fair queueing and of VTC.

They differ in what is counted at release and in how far a tenant's counter is lifted when it returns.
"""

import heapq
from abc import abstractmethod
from collections.abc import Mapping

from workbench.control.request import Waiting
from workbench.control.scheduling.heap import SPARE, by_priority
from workbench.control.scheduling.lanes import Able, Laned
from workbench.control.scheduling.shares import Tab, Weights
from workbench.control.scheduling.waitlist import Line, Waitlist

LEAST_FLOWS = 1024  # below that many, forgetting idle tenants is not worth its time


class Flow:
    """One tenant: its counter in units of cost x common weight / weight, and its own requests by priority."""

    __slots__ = ("counter", "line", "name", "open", "scale", "stamp")

    def __init__(self, name: str, scale: int, line: Line) -> None:
        self.name, self.scale, self.line = name, scale, line
        self.counter = self.stamp = self.open = 0


class Flows(Waitlist):
    """Least counter first, ties in order of the first request's sequence. A tenant's priorities order its own only."""

    def __init__(
        self,
        weights: Mapping[str, int] | None = None,
        tier_weights: Mapping[str, int] | None = None,
        default_weight: int = 1,
        prompt_cost: int = 1,
        output_cost: int = 2,
    ) -> None:
        super().__init__()
        self._weights = Weights(weights, tier_weights, default_weight)
        self.tab: Tab = Tab(prompt_cost, output_cost)
        self._flows: dict[str, Flow] = {}
        self._heap: list[tuple[int, int, int, Flow]] = []  # counter, sequence of its first, stamp
        self._forget_at, self._stamps = LEAST_FLOWS, 0

    @abstractmethod
    def _guess(self, item: Waiting) -> int:
        """Cost counted at release."""

    @abstractmethod
    def _level(self) -> int:
        """The least counter with which a tenant may begin to wait."""

    def counter(self, tenant: str) -> int:
        """In units of cost x common multiple of the weights / weight; 0 for a tenant that never was here."""
        flow = self._flows.get(tenant)
        return flow.counter if flow else 0

    def charge(self, now_ns: int, request_id: str, prompt_tok: int, output_tok: int, done: bool = True) -> None:
        self._tick(now_ns)
        tenant, more = self.tab.settle(request_id, prompt_tok, output_tok, done)
        flow = self._flows[tenant]
        flow.open -= done
        if more:
            flow.counter += more * flow.scale
            self._place(flow)

    def _added(self, item: Waiting) -> None:
        if self._of[item.tenant] > 1:
            flow = self._flows[item.tenant]
            flow.line.add(item)
            if flow.line.first() is item:
                self._place(flow)
            return
        level = self._level()
        flow = self._flows.get(item.tenant) or self._new(item, level)
        flow.counter = max(flow.counter, level)
        flow.line.add(item)
        self._place(flow)

    def _first(self) -> Waiting:
        flow = self._least()
        assert flow is not None  # somebody waits, and who waits is in the heap
        item = flow.line.first()
        assert item is not None
        return item

    def _first_able(self, able: Able) -> Waiting | None:
        """Asks every tenant that waits."""
        best: Waiting | None = None
        least = 0, 0
        for tenant in self._of:
            flow = self._flows[tenant]
            assert isinstance(flow.line, Laned)  # it was split
            item = flow.line.first_able(able)
            if item is not None and (best is None or (flow.counter, item.sequence) < least):
                best, least = item, (flow.counter, item.sequence)
        return best

    def _released(self, item: Waiting) -> None:
        flow, cost = self._flows[item.tenant], self._guess(item)
        self.tab.count(item, cost)
        flow.open += 1
        flow.counter += cost * flow.scale
        self._place(flow)

    def _removed(self, item: Waiting) -> None:
        self._place(self._flows[item.tenant])

    def _least(self) -> Flow | None:
        """Of those that wait; None where nobody does."""
        heap = self._heap
        while heap and heap[0][2] != heap[0][3].stamp:
            heapq.heappop(heap)
        return heap[0][3] if heap else None

    def _place(self, flow: Flow) -> None:
        """Its counter or its first request changed: the old entry is void."""
        self._stamps += 1
        flow.stamp = self._stamps
        first = flow.line.first()
        if first is None:
            return
        heapq.heappush(self._heap, (flow.counter, first.sequence, flow.stamp, flow))
        if len(self._heap) > SPARE + 4 * len(self._of):
            self._heap = sorted(entry for entry in self._heap if entry[2] == entry[3].stamp)

    def _new(self, item: Waiting, level: int) -> Flow:
        if len(self._flows) >= self._forget_at:  # a counter that would be lifted anyway says nothing
            self._flows = {name: flow for name, flow in self._flows.items()
                           if flow.open or flow.counter > level or name in self._of}
            self._forget_at = max(LEAST_FLOWS, 2 * len(self._flows))
        flow = Flow(item.tenant, self._weights.scale(item), self._line(by_priority))
        self._flows[item.tenant] = flow
        return flow
