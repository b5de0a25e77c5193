"""Leases: who may do something alone, until when; and fencing tokens, because a holder may not know that it ended.

Sources: Gray & Cheriton, Leases, SOSP 1989; Burrows, The Chubby Lock Service, OSDI 2006 (sequencers); Kleppmann, How to
do distributed locking, 2016.
"""

from typing import NamedTuple

from workbench.control.clock import Clock
from workbench.control.limits.answer import whole

PPM = 1_000_000


class Lease(NamedTuple):
    """Granted by the coordinator, on the coordinator's clock."""

    name: str
    holder: str
    token: int  # greater than that of every lease before
    ttl_ns: int
    expires_ns: int


class Leases(Clock):
    """One holder a name at a time. Tokens grow over all names and never repeat."""

    def __init__(self, ttl_ns: int, first_token: int = 1) -> None:
        """`first_token`: where a restarted coordinator goes on, above every token it ever gave."""
        self.ttl_ns, self._next = whole("ttl_ns", ttl_ns), whole("first_token", first_token)
        self._leases: dict[str, Lease] = {}

    def acquire(self, now_ns: int, name: str, holder: str) -> Lease | None:
        """None: somebody holds it. Who holds it already gets a new token: the old one may be in another's hands."""
        held = self.holder(now_ns, name)
        if held is not None and held.holder != holder:
            return None
        lease = Lease(name, holder, self._next, self.ttl_ns, now_ns + self.ttl_ns)
        self._next += 1
        self._leases[name] = lease
        return lease

    def renew(self, now_ns: int, name: str, token: int) -> Lease | None:
        """The same token for longer; None: it ended, or somebody else holds it. Then acquire anew."""
        held = self.holder(now_ns, name)
        if held is None or held.token != token:
            return None
        self._leases[name] = held._replace(expires_ns=now_ns + self.ttl_ns)
        return self._leases[name]

    def release(self, now_ns: int, name: str, token: int) -> bool:
        """Free at once; False: it was not held with this token."""
        held = self.holder(now_ns, name)
        if held is None or held.token != token:
            return False
        del self._leases[name]
        return True

    def holder(self, now_ns: int, name: str) -> Lease | None:
        self._tick(now_ns)
        lease = self._leases.get(name)
        return lease if lease is not None and now_ns < lease.expires_ns else None

    def due_ns(self) -> int | None:
        return min((lease.expires_ns for lease in self._leases.values()), default=None)

    def on_time(self, now_ns: int) -> tuple[Lease, ...]:
        """Those that ended, in the order of their tokens."""
        self._tick(now_ns)
        ended = sorted((x for x in self._leases.values() if x.expires_ns <= now_ns), key=lambda x: x.token)
        for lease in ended:
            del self._leases[lease.name]
        return tuple(ended)


class Fence:
    """At every store: takes no write below the highest token it has seen for that name. Survives any clock."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def admit(self, name: str, token: int) -> bool:
        if token < self._highest.get(name, 0):
            return False
        self._highest[name] = token
        return True

    def highest(self, name: str) -> int:
        return self._highest.get(name, 0)


class Holder:
    """What one node believes of one lease, on its own clock: counted from when it asked, less what its clock may drift.

    While no clock drifts by more than `drift_ppm` against the true time, at most one believes to hold a name. If one
    does drift more, the fence still refuses what it writes after its successor wrote.
    """

    def __init__(self, drift_ppm: int = 1_000) -> None:
        if not 0 <= drift_ppm < PPM:
            raise ValueError(f"drift_ppm: {drift_ppm} is not from 0 to below {PPM}")
        self.drift_ppm = drift_ppm
        self._token = self._until_ns = self._given_up = 0

    def heard(self, lease: Lease, asked_ns: int) -> None:
        """An answer, late perhaps, or for the second time. `asked_ns`: this node's clock when it asked for it."""
        if lease.token < self._token:
            return
        # this clock may run slow and the coordinator's fast
        until_ns = asked_ns + lease.ttl_ns * (PPM - self.drift_ppm) // (PPM + self.drift_ppm)
        self._until_ns = until_ns if lease.token > self._token else max(self._until_ns, until_ns)
        self._token = lease.token

    def holds(self, now_ns: int) -> int | None:
        """The token to write with; None: it may have ended, so stop."""
        return self._token if self._given_up < self._token and now_ns < self._until_ns else None

    def give_up(self) -> int:
        """Not believed any more, whatever is still heard of it. The token to release; 0: there was none."""
        given_up = self._token if self._token > self._given_up else 0
        self._given_up = self._token
        return given_up
