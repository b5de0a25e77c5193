"""Reservations of one pool (KV tokens, GPUs): guarantees, borrowing, overcommit, eviction, accounting.

A tenant is always granted what lies within its guarantee; what nobody claims may be borrowed, and is taken back (as in
Hadoop's capacity scheduler: guaranteed, elastic, reclaimed by preemption).
"""

from collections.abc import Callable, Mapping

from workbench.control.clock import Clock
from workbench.control.limits.answer import whole
from workbench.control.resources.books import Books
from workbench.control.resources.holding import Eviction, Grant, Holding, Refusal
from workbench.control.resources.victims import Victims

PPM = 1_000_000


class Allocator(Clock):
    """Reserved never exceeds capacity x overcommit_ppm; used never exceeds capacity.

    Who is evicted, in this order: a tenant above its guarantee; of those the lowest class (greatest priority number);
    of those the latest reservation. A newcomer evicts only to claim its own guarantee; who outgrows the capacity evicts
    whoever is first, itself perhaps. A reservation that nobody released within `expire_ns` is reclaimed.
    """

    def __init__(
        self, capacity: int, overcommit_ppm: int = PPM, guarantees: Mapping[str, int] | None = None,
        expire_ns: int | None = None,
    ) -> None:
        self.capacity = whole("capacity", capacity)
        self.overcommit_ppm = whole("overcommit_ppm", overcommit_ppm, least=PPM)
        self.guarantees = {who: whole(f"guarantees.{who}", n, least=0) for who, n in (guarantees or {}).items()}
        if sum(self.guarantees.values()) > capacity:
            promised = sum(self.guarantees.values())
            raise ValueError(f"guarantees: {promised} in all are more than the capacity {capacity}")
        self.limit = capacity * overcommit_ppm // PPM
        self.expire_ns = None if expire_ns is None else whole("expire_ns", expire_ns)
        self.books = Books()
        self._held: dict[str, Holding] = {}  # by age
        self._victims = Victims()
        self._sequence = 0

    def reserve(
        self, now_ns: int, holding_id: str, tenant: str, amount: int, priority: int = 0, used: int = 0
    ) -> Grant | Refusal:
        """All of it or nothing. Evictions, where there are any, come before the grant."""
        self._tick(now_ns)
        whole("amount", amount)
        if holding_id in self._held:
            raise ValueError(f"holding {holding_id}: holds already; release it first")
        if whole("used", used, least=0) > amount:
            raise ValueError(f"holding {holding_id}: used {used} is more than the {amount} reserved")
        if amount > self.limit:
            return Refusal("never", self.limit)
        mine = self.books.reserved_by(tenant)
        guaranteed = mine + amount <= self.guarantees.get(tenant, 0)
        over = self.books.reserved + amount - self.limit
        # a guarantee holds however much others use, too
        if not guaranteed and (over > 0 or self.books.used + used > self.capacity):
            return Refusal("full", self.limit - self.books.reserved)
        evicted = self._make_room(now_ns, amount)
        self._sequence += 1
        holding = Holding(holding_id, tenant, priority, self._sequence, amount, 0, now_ns)
        self._held[holding_id] = holding
        self._victims.add(holding, self._held)
        self.books.open(now_ns, holding)
        return Grant(evicted + self._use(now_ns, holding, used) if used else evicted)

    def grow(self, now_ns: int, holding_id: str, used: int) -> tuple[Eviction, ...]:
        """So much it uses now, also more than it reserved; less than before is fine too. Says who had to go."""
        self._tick(now_ns)
        return self._use(now_ns, self._get(holding_id), whole("used", used, least=0))

    def release(self, now_ns: int, holding_id: str) -> Holding:
        """What it held, at the end of it."""
        self._tick(now_ns)
        return self._close(now_ns, self._get(holding_id), "released")

    def due_ns(self) -> int | None:
        """When the oldest reservation expires."""
        oldest = next(iter(self._held.values()), None)
        return None if oldest is None or self.expire_ns is None else oldest.since_ns + self.expire_ns

    def on_time(self, now_ns: int) -> tuple[Eviction, ...]:
        """Reclaims what expired."""
        self._tick(now_ns)
        gone = []
        while (due_ns := self.due_ns()) is not None and due_ns <= now_ns:
            gone.append(self._evicted(now_ns, next(iter(self._held.values())), "expired"))
        return tuple(gone)

    def get(self, holding_id: str) -> Holding | None:
        return self._held.get(holding_id)

    def __len__(self) -> int:
        return len(self._held)

    def _use(self, now_ns: int, holding: Holding, used: int) -> tuple[Eviction, ...]:
        new = holding._replace(used=used, reserved=max(holding.reserved, used))
        self._held[holding.id] = new
        self.books.change(now_ns, holding, new)
        gone = []
        while self.books.used > self.capacity:
            gone.append(self._evict(now_ns, self.books.used_by, "outgrown"))
        return (*gone, *self._make_room(now_ns, 0))

    def _make_room(self, now_ns: int, amount: int) -> tuple[Eviction, ...]:
        gone = []
        while self.books.reserved + amount > self.limit:
            gone.append(self._evict(now_ns, self.books.reserved_by, "reclaimed"))
        return tuple(gone)

    def _evict(self, now_ns: int, holds: Callable[[str], int], why: str) -> Eviction:
        # guarantees are at most the capacity together, so whenever it is exceeded somebody is above theirs
        victim = self._victims.first(self._held, lambda tenant: holds(tenant) > self.guarantees.get(tenant, 0))
        return self._evicted(now_ns, victim, why)

    def _evicted(self, now_ns: int, holding: Holding, why: str) -> Eviction:
        self._close(now_ns, holding, why)
        return Eviction(holding.id, holding.tenant, holding.reserved, holding.used, why)

    def _close(self, now_ns: int, holding: Holding, why: str) -> Holding:
        del self._held[holding.id]
        self.books.close(now_ns, holding, why)
        return holding

    def _get(self, holding_id: str) -> Holding:
        holding = self._held.get(holding_id)
        if holding is None:
            raise ValueError(f"holding {holding_id}: holds nothing; it was released, evicted or never reserved")
        return holding
