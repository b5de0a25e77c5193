"""What every order has in common: who waits, counted by tenant, and a clock that never goes back."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from workbench.control.request import Waiting
from workbench.control.scheduling.heap import LazyHeap
from workbench.control.scheduling.lanes import Able, Lane, Laned
from workbench.control.scheduling.shares import Tab

Line = LazyHeap | Laned


class Waitlist(ABC):
    """Keeps the items; an order says which of them is first."""

    tab: Tab | None = None  # of the orders that count service
    _lane: Callable[[Waiting], Lane] | None = None

    def __init__(self) -> None:
        self._items: dict[str, Waiting] = {}
        self._of: dict[str, int] = {}
        self._now_ns = 0

    def push(self, now_ns: int, item: Waiting) -> None:
        self._tick(now_ns)
        if item.request_id in self._items:
            raise ValueError(f"request {item.request_id}: waits already; push it again only after it left")
        if self.tab is not None and item.request_id in self.tab:
            raise ValueError(f"request {item.request_id}: is released; charge it as done before it waits again")
        self._items[item.request_id] = item
        self._of[item.tenant] = self._of.get(item.tenant, 0) + 1
        self._added(item)

    def pop(self, now_ns: int) -> Waiting:
        item = self.peek(now_ns)
        self._forget(item)
        self._released(item)
        return item

    def peek(self, now_ns: int) -> Waiting:
        self._tick(now_ns)
        if not self._items:
            raise ValueError("nobody waits; ask len() first")
        return self._first()

    def split(self, lane: Callable[[Waiting], Lane]) -> None:
        """Before anybody waits: they may be in lanes, some of which cannot go at times. Then ask `pop_able`."""
        self._lane = lane

    def pop_able(self, now_ns: int, able: Able) -> Waiting | None:
        """The next of those that can go; None: nobody can. Who cannot keeps its place in the order."""
        item = self.peek_able(now_ns, able)
        if item is not None:
            self._forget(item)
            self._released(item)
        return item

    def peek_able(self, now_ns: int, able: Able) -> Waiting | None:
        self._tick(now_ns)
        return self._first_able(able) if self._items else None

    def remove(self, now_ns: int, request_id: str) -> Waiting | None:
        self._tick(now_ns)
        item = self._items.get(request_id)
        if item is not None:
            self._forget(item)
            self._removed(item)
        return item

    def charge(self, now_ns: int, request_id: str, prompt_tok: int, output_tok: int, done: bool = True) -> None:  # noqa: ARG002 - part of the protocol
        """Nothing here depends on service received."""
        self._tick(now_ns)

    def waiting(self, tenant: str) -> int:
        return self._of.get(tenant, 0)

    def __len__(self) -> int:
        return len(self._items)

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns

    def _forget(self, item: Waiting) -> None:
        tenant, of = item.tenant, self._of
        del self._items[item.request_id]
        left = of[tenant] - 1
        if left:
            of[tenant] = left
        else:
            del of[tenant]

    def _line(self, key: Callable[[Waiting], int]) -> Line:
        return LazyHeap(self._items, key) if self._lane is None else Laned(self._items, key, self._lane)

    @abstractmethod
    def _added(self, item: Waiting) -> None:
        """It is among the items already."""

    @abstractmethod
    def _first(self) -> Waiting:
        """Of the items, of which there is at least one."""

    @abstractmethod
    def _first_able(self, able: Able) -> Waiting | None:
        """Of the items, of which there is at least one, after `split`."""

    def _released(self, item: Waiting) -> None:  # noqa: B027 - most orders keep nothing more
        """It was first and is among the items no longer."""

    def _removed(self, item: Waiting) -> None:  # noqa: B027 - most orders keep nothing more
        """It went without being served."""
