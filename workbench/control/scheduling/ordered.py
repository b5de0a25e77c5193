"""Orders of one number that a request has when it arrives: it never changes while it waits."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.scheduling.lanes import Able, Lane, Laned
from workbench.control.scheduling.waitlist import Waitlist


class Ordered(Waitlist):
    """Least key first, ties in order of arrival (sequence)."""

    def __init__(self) -> None:
        super().__init__()
        self._heap = self._line(self.key)

    def split(self, lane: Callable[[Waiting], Lane]) -> None:
        super().split(lane)
        self._heap = self._line(self.key)

    @abstractmethod
    def key(self, item: Waiting) -> int: ...

    def _added(self, item: Waiting) -> None:
        self._heap.add(item)

    def _first(self) -> Waiting:
        item = self._heap.first()
        assert item is not None  # somebody waits, and who waits is in the heap
        return item

    def _first_able(self, able: Able) -> Waiting | None:
        assert isinstance(self._heap, Laned)  # it was split
        return self._heap.first_able(able)


class Fifo(Ordered):
    """First come, first served."""

    def key(self, item: Waiting) -> int:  # noqa: ARG002 - the sequence alone decides
        return 0


class ShortestFirst(Ordered):
    """Least estimated output first: the best mean wait where estimates are good; starves the long ones.

    Source: Schrage 1968 (shortest remaining processing time), without preemption and on estimates.
    """

    def key(self, item: Waiting) -> int:
        return item.estimated_tok


class Preempting(Ordered):
    """An order that may also take a place back: `preempt`.

    `max_recompute_tok`: a prompt longer than this is never computed twice; None: no bound.
    """

    def __init__(self, preempt: bool = False, max_recompute_tok: int | None = None) -> None:
        super().__init__()
        self.preempt = preempt
        self.max_recompute_tok = None if max_recompute_tok is None else whole("max_recompute_tok", max_recompute_tok)

    def victim(self, now_ns: int, running: Sequence[Waiting], first: Waiting | None = None) -> Waiting | None:
        """The last in this order, if the next (`first`, where that is not the next of all) goes strictly before it: so
        the same two never swap twice."""
        self._tick(now_ns)
        if not self.preempt or not self._items:
            return None
        most = self.max_recompute_tok
        able = [item for item in running if most is None or item.prompt_tok <= most]
        last = max(able, key=lambda item: (self.key(item), item.sequence), default=None)
        return last if last is not None and self.key(last) > self.key(first or self._first()) else None


class StrictPriority(Preempting):
    """The best class (lowest number) first, always: whoever has a lower class may starve."""

    def key(self, item: Waiting) -> int:
        return item.priority


class Ageing(Preempting):
    """Priority that improves by one class every `step_ns` of waiting.

    Class p of an arrival at t equals class 0 of an arrival at t + p x step: one fixed key, no timer. So nobody
    who comes more than (levels - 1) x step_ns later goes before it, and its wait is at most that plus the time
    the backlog found at that instant takes. Classes beyond `levels` - 1 count as the last.
    """

    def __init__(
        self, step_ns: int = 1_000_000_000, levels: int = 4, preempt: bool = False, max_recompute_tok: int | None = None
    ) -> None:
        super().__init__(preempt, max_recompute_tok)
        self.step_ns, self.levels = whole("step_ns", step_ns), whole("levels", levels)

    @property
    def most_overtaken_ns(self) -> int:
        """Who comes this much later cannot overtake any more."""
        return (self.levels - 1) * self.step_ns

    def key(self, item: Waiting) -> int:
        return item.arrived_ns + min(max(0, item.priority), self.levels - 1) * self.step_ns


NEVER_NS = 1 << 100  # later than every deadline


class EarliestDeadline(Preempting):
    """Earliest deadline first; who has none comes last.

    Source: Liu & Layland 1973; Dertouzos 1974: with preemption, and without a cost for it, one server meets every
    set of deadlines that can be met at all. Without preemption, or after the first byte, it does not.
    """

    def key(self, item: Waiting) -> int:
        return NEVER_NS if item.deadline_ns is None else item.deadline_ns
