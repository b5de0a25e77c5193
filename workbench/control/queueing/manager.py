"""A bounded line before an order of release."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from workbench.control.limits.answer import whole
from workbench.control.queueing.codel import CoDel
from workbench.control.queueing.outcome import FULL, LATE, SOJOURN, TENANT_FULL, TOO_LATE, Dropped, Popped, Pushed
from workbench.control.queueing.pressure import Pressure
from workbench.control.queueing.service import Service
from workbench.control.request import Waiting
from workbench.control.scheduling.heap import LazyHeap
from workbench.control.scheduling.lanes import Able, Lane
from workbench.control.scheduling.protocol import Scheduler
from workbench.control.scheduling.waitlist import Waitlist

# who goes when the line is full: the one with the least of this key
LEAST: Mapping[str, Callable[[Waiting], int] | None] = {
    "drop_tail": None,  # who comes last
    "drop_lowest": lambda item: -(item.priority << 64) - item.sequence,  # the lowest class, of these the youngest
    "drop_oldest": lambda item: item.sequence,  # from the front: Yin & Hluchyj, IEEE Trans. Communications 41(6), 1993
}
Part = TypeVar("Part")


class QueueManager:
    """Nobody is lost: whoever was pushed is popped, dropped with a reason, cancelled, or still waits.

    limit, tenant_limit   most that wait, in all and of one tenant (`tenant_limits`: by name); None: no bound
    overflow              who goes when it is full: drop_tail, drop_lowest, drop_oldest
    service               base_ns, prompt_ns, output_ns: a request is dropped once its deadline cannot be met
    codel                 target_ns, interval_ns: drop by time waited
    pressure              up, down: levels of backpressure by the line's length
    smaller, degrade_from, degrade_tiers
                          from this level on, a new request for a model (of these tiers; None: all) gets a smaller one
    """

    def __init__(
        self,
        order: Scheduler,
        limit: int | None = None,
        tenant_limit: int | None = None,
        tenant_limits: Mapping[str, int] | None = None,
        overflow: str = "drop_tail",
        service: Mapping[str, int] | None = None,
        codel: Mapping[str, int] | None = None,
        pressure: Mapping[str, Sequence[int]] | None = None,
        smaller: Mapping[str, str] | None = None,
        degrade_from: int = 1,
        degrade_tiers: Sequence[str] | None = None,
    ) -> None:
        if overflow not in LEAST:
            raise ValueError(f"overflow {overflow!r} is unknown; known: {', '.join(LEAST)}")
        self.order, self.overflow = order, overflow
        self.limit = None if limit is None else whole("limit", limit)
        self.tenant_limit = None if tenant_limit is None else whole("tenant_limit", tenant_limit)
        self.tenant_limits = {name: whole(f"tenant_limits.{name}", n) for name, n in (tenant_limits or {}).items()}
        self.service = _part("service", Service, service or {})
        self._codel = _part("codel", CoDel, codel) if codel is not None else None
        self._pressure = _part("pressure", Pressure, pressure) if pressure is not None else None
        self.smaller, self.degrade_from = dict(smaller or {}), whole("degrade_from", degrade_from)
        self.degrade_tiers = None if degrade_tiers is None else tuple(degrade_tiers)
        if self.smaller and self._pressure is None:
            raise ValueError("smaller: without pressure nobody ever gets a smaller model; give pressure.up and down")
        self._now_ns = 0
        self._items: dict[str, Waiting] = {}
        self._deadlines = LazyHeap(self._items, self._last_start_ns)
        self._worst: LazyHeap | None = self._heap()
        self._worst_of: dict[str, LazyHeap] = {}

    @property
    def level(self) -> int:
        """Of backpressure; 0 where none was asked for."""
        return self._pressure.level if self._pressure else 0

    def push(self, now_ns: int, item: Waiting) -> Pushed:
        """It waits from now on, unless it is late or has to go for the others."""
        self._tick(now_ns)
        if item.request_id in self._items:
            raise ValueError(f"request {item.request_id}: waits already; push it again only after it left")
        late = self.expire(now_ns)
        if item.deadline_ns is not None and now_ns > self._last_start_ns(item):
            return Pushed(None, (*late, Dropped(item, self._why(now_ns, item))))
        if self.smaller:
            item = self._degraded(item)
        dropped = self._room(item)
        if dropped is not None:
            if dropped.item is item:
                return Pushed(None, (*late, dropped))
            self._take(now_ns, dropped.item)
            late = (*late, dropped)
        self._add(now_ns, item)
        return Pushed(item, late)

    def split(self, lane: Callable[[Waiting], Lane]) -> bool:
        """Before anybody waits: pop may be asked for those of some lanes only. False: this order cannot do that."""
        if not isinstance(self.order, Waitlist):
            return False
        self.order.split(lane)
        return True

    def put_back(self, now_ns: int, item: Waiting) -> None:
        """It was popped, but cannot go: it waits again as before, whatever the bounds."""
        self._tick(now_ns)
        self.order.charge(now_ns, item.request_id, 0, 0)
        self._add(now_ns, item)

    def pop(self, now_ns: int, able: Able | None = None) -> Popped:
        """The next; after `split` the next of those that are able, None where nobody is."""
        dropped = list(self.expire(now_ns))
        while self._items:
            item = self.order.pop(now_ns) if able is None else self._able(now_ns, able)
            if item is None:
                break
            del self._items[item.request_id]
            if self._codel is None or not self._codel.drop(now_ns, now_ns - item.arrived_ns, len(self._items)):
                self._felt()
                return Popped(item, tuple(dropped))
            self.order.charge(now_ns, item.request_id, 0, 0)  # a fair order counted it
            dropped.append(Dropped(item, SOJOURN))
        self._felt()
        return Popped(None, tuple(dropped))

    def _able(self, now_ns: int, able: Able) -> Waiting | None:
        assert isinstance(self.order, Waitlist)  # it was split
        return self.order.pop_able(now_ns, able)

    def cancel(self, now_ns: int, request_id: str) -> Waiting | None:
        """Its client gave up; None where it does not wait."""
        item = self._items.get(request_id)
        if item is not None:
            self._take(now_ns, item)
        return item

    def expire(self, now_ns: int) -> tuple[Dropped, ...]:
        """Drops whoever can no longer be in time."""
        self._tick(now_ns)
        if self._deadlines.empty:
            return ()
        dropped: list[Dropped] = []
        while (last_ns := self._deadlines.least()) is not None and now_ns > last_ns:
            item = self._deadlines.first()
            assert item is not None  # it has a least key
            self._take(now_ns, item)
            dropped.append(Dropped(item, self._why(now_ns, item)))
        return tuple(dropped)

    def due_ns(self) -> int | None:
        """When expire has something to do, if nothing happens before."""
        last_ns = None if self._deadlines.empty else self._deadlines.least()
        return None if last_ns is None else last_ns + 1

    def charge(self, now_ns: int, request_id: str, prompt_tok: int, output_tok: int, done: bool = True) -> None:
        self.order.charge(now_ns, request_id, prompt_tok, output_tok, done)

    def waiting(self, tenant: str) -> int:
        return self.order.waiting(tenant)

    def __len__(self) -> int:
        return len(self._items)

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns

    def _add(self, now_ns: int, item: Waiting) -> None:
        self.order.push(now_ns, item)
        self._items[item.request_id] = item
        if item.deadline_ns is not None:
            self._deadlines.add(item)
        if self._worst is not None:
            if self.limit is not None:
                self._worst.add(item)
            if self._bound(item.tenant) is not None:
                self._of(item.tenant).add(item)
        self._felt()

    def _take(self, now_ns: int, item: Waiting) -> None:
        self.order.remove(now_ns, item.request_id)
        del self._items[item.request_id]
        self._felt()

    def _felt(self) -> None:
        if self._pressure is not None:
            self._pressure.update(len(self._items))

    def _room(self, item: Waiting) -> Dropped | None:
        """Who has to go for this one, itself perhaps; None: there is room."""
        bound = self._bound(item.tenant)
        if bound is not None and self.order.waiting(item.tenant) >= bound:
            return Dropped(self._least(self._worst_of.get(item.tenant), item), TENANT_FULL)
        if self.limit is not None and len(self._items) >= self.limit:
            return Dropped(self._least(self._worst, item), FULL)
        return None

    def _least(self, heap: LazyHeap | None, item: Waiting) -> Waiting:
        other, key = heap.first() if heap is not None else None, LEAST[self.overflow]
        return item if other is None or key is None or key(item) < key(other) else other

    def _heap(self) -> LazyHeap | None:
        key = LEAST[self.overflow]
        return None if key is None else LazyHeap(self._items, key)

    def _of(self, tenant: str) -> LazyHeap:
        heap = self._worst_of.get(tenant) or self._heap()
        assert heap is not None  # asked for only where the overflow rule has a key
        self._worst_of[tenant] = heap
        return heap

    def _bound(self, tenant: str) -> int | None:
        return self.tenant_limits.get(tenant, self.tenant_limit)

    def _degraded(self, item: Waiting) -> Waiting:
        small = self.smaller.get(item.model) if self.level >= self.degrade_from else None
        if small is None or (self.degrade_tiers is not None and item.tier not in self.degrade_tiers):
            return item
        return item._replace(model=small)

    def _last_start_ns(self, item: Waiting) -> int:
        assert item.deadline_ns is not None  # only those with a deadline are asked about
        return item.deadline_ns - self.service.takes_ns(item)

    def _why(self, now_ns: int, item: Waiting) -> str:
        return LATE if item.deadline_ns is not None and now_ns > item.deadline_ns else TOO_LATE


def _part(name: str, kind: type[Part], values: Mapping[str, Any]) -> Part:
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{name}: {error.args[0].partition(') ')[2]}; given: {', '.join(values)}") from None
