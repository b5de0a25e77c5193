"""What is held, and what is answered."""

from typing import NamedTuple


class Holding(NamedTuple):
    """Somebody's part of the pool. Never more used than reserved: who outgrows a reservation reserves more by that."""

    id: str
    tenant: str
    priority: int  # lower is evicted later
    sequence: int  # order of admission; breaks every tie
    reserved: int
    used: int
    since_ns: int


class Eviction(NamedTuple):
    """Its holder has to stop, and to reserve again if it wants to go on."""

    id: str
    tenant: str
    reserved: int
    used: int
    why: str  # reclaimed (for a guarantee), outgrown (the capacity), expired


class Grant(NamedTuple):
    """Granted, once those have stopped."""

    evicted: tuple[Eviction, ...] = ()


class Refusal(NamedTuple):
    """Nothing changed."""

    why: str  # full (now), never (larger than the pool)
    room: int  # what could be reserved; 0 or less where the pool is full


class Account(NamedTuple):
    """One tenant's holdings now, and over time: amount x nanoseconds held, for billing and for shares."""

    reserved: int = 0
    used: int = 0
    reserved_ns: int = 0
    used_ns: int = 0
    until_ns: int = 0  # the two above are counted up to here
    holdings: int = 0  # open

    def at(self, now_ns: int) -> "Account":
        """Counted up to now."""
        span_ns = now_ns - self.until_ns
        return Account(
            self.reserved, self.used, self.reserved_ns + self.reserved * span_ns, self.used_ns + self.used * span_ns,
            now_ns, self.holdings,
        )
