"""The exact response cache, with single flight: of several who ask for the same, one computes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from workbench.control.cache.eviction import Eviction, Lru
from workbench.control.cache.key import CacheKey


@dataclass(frozen=True, slots=True)
class Hit:
    """Kept: answer with it."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Lead:
    """Compute it, then `fill` or `fail`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody computes it; `fill` or `fail` will name this request."""


class _Kept(NamedTuple):
    key: CacheKey
    value: bytes
    expires_ns: int


class _Flight:
    """Who computes, until when that is believed, and who waits for it."""

    __slots__ = ("until_ns", "waiting")

    def __init__(self, until_ns: int) -> None:
        self.until_ns, self.waiting = until_ns, dict[str, None]()


class ResponseCache:
    """At most `capacity_bytes` of values, each for `ttl_ns`. The clock never goes backwards: ValueError.

    A leader who is not heard of for `lead_ns` is given up: the next who asks leads. An entry expires at, not after,
    its time. What `why_not` names does not belong here: the caller asks it first.
    """

    def __init__(self, capacity_bytes: int, ttl_ns: int, eviction: Eviction | None = None,
                 lead_ns: int = 600 * 10**9) -> None:
        if min(capacity_bytes, ttl_ns, lead_ns) < 1:
            raise ValueError(f"capacity_bytes {capacity_bytes}, ttl_ns {ttl_ns}, lead_ns {lead_ns}: must be at least 1")
        self.capacity_bytes, self.ttl_ns, self.lead_ns = capacity_bytes, ttl_ns, lead_ns
        self.eviction: Eviction = Lru() if eviction is None else eviction
        self.used_bytes = self.hits = self.misses = 0
        self._kept: dict[str, _Kept] = {}  # in order of expiry: the time is the same for all
        self._flights: dict[str, _Flight] = {}
        self._withdrawn: set[tuple[str, str]] = set()
        self._now_ns = 0

    def look(self, now_ns: int, key: CacheKey, request_id: str) -> Hit | Lead | Wait:
        self._tick(now_ns)
        self.eviction.asked(key.digest)
        if (kept := self._kept.get(key.digest)) is not None:
            self.hits += 1
            return Hit(kept.value)
        self.misses += 1
        flight = self._flights.get(key.digest)
        if flight is None:
            self._flights[key.digest] = _Flight(now_ns + self.lead_ns)
            return Lead()
        if flight.until_ns <= now_ns:
            flight.until_ns = now_ns + self.lead_ns
            return Lead()
        flight.waiting[request_id] = None
        return Wait()

    def fill(self, now_ns: int, key: CacheKey, value: bytes) -> tuple[str, ...]:
        """The value came: keep it if it fits and its revision is not withdrawn. Returns who waited for it, in order."""
        self._tick(now_ns)
        flight = self._flights.pop(key.digest, None)
        self._store(now_ns, key, value)
        return tuple(flight.waiting) if flight else ()

    def fail(self, now_ns: int, key: CacheKey) -> str | None:
        """No value came. Returns who leads now, the first that waited; an error is nobody else's answer."""
        self._tick(now_ns)
        flight = self._flights.get(key.digest)
        if flight is None:
            return None
        if not flight.waiting:
            del self._flights[key.digest]
            return None
        successor = next(iter(flight.waiting))
        del flight.waiting[successor]
        flight.until_ns = now_ns + self.lead_ns
        return successor

    def cancel(self, now_ns: int, key: CacheKey, request_id: str) -> None:
        """Who waited does no longer."""
        self._tick(now_ns)
        if (flight := self._flights.get(key.digest)) is not None:
            flight.waiting.pop(request_id, None)  # an overdue flight without waiting ones is forgotten in passing

    def warm(self, now_ns: int, values: Iterable[tuple[CacheKey, bytes]]) -> int:
        """Keep values that nobody asked for yet, in that order; returns how many were kept."""
        self._tick(now_ns)
        return sum(self._store(now_ns, key, value) for key, value in values)

    def withdraw(self, now_ns: int, model: str, revision: str) -> int:
        """Drop every answer of that revision and keep none that is still on its way. Returns how many were dropped."""
        self._tick(now_ns)
        self._withdrawn.add((model, revision))
        gone = [digest for digest, kept in self._kept.items() if kept.key[:2] == (model, revision)]
        for digest in gone:
            self._drop(digest)
        return len(gone)

    def __len__(self) -> int:
        return len(self._kept)

    def _store(self, now_ns: int, key: CacheKey, value: bytes) -> bool:
        if key.digest in self._kept:
            self._drop(key.digest)
        if (key.model, key.revision) in self._withdrawn or len(value) > self.capacity_bytes:
            return False
        while self.used_bytes + len(value) > self.capacity_bytes:
            victim = self.eviction.victim()
            if not self.eviction.admits(key.digest, victim):
                return False  # who went before this one was worth less than the newcomer too
            self._drop(victim)
        self._kept[key.digest] = _Kept(key, value, now_ns + self.ttl_ns)
        self.used_bytes += len(value)
        self.eviction.added(key.digest)
        return True

    def _drop(self, digest: str) -> None:
        self.used_bytes -= len(self._kept.pop(digest).value)
        self.eviction.removed(digest)

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
        while self._kept and (first := next(iter(self._kept.values()))).expires_ns <= now_ns:
            self._drop(first.key.digest)
        self._forget_flights(now_ns)

    def _forget_flights(self, now_ns: int) -> None:
        """Leaders who were never heard of again: two a call, so that those whom somebody waits for block nobody."""
        for _ in range(min(2, len(self._flights))):
            digest, flight = next(iter(self._flights.items()))
            if flight.until_ns > now_ns:
                return
            del self._flights[digest]
            if flight.waiting:  # the next who asks leads
                self._flights[digest] = flight
