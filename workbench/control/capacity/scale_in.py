"""Which replicas stop when there are too many."""

from collections.abc import Sequence
from typing import NamedTuple

from workbench.control.limits.answer import whole


class Member(NamedTuple):
    """One replica of the fleet."""

    replica: int
    ready_ns: int | None  # None: still starting
    outstanding: int = 0
    pinned: bool = False  # somebody asked that it stays (a long job, a debugging session)


class ScaleIn:
    """A replica is protected while pinned, for `young_ns` after it became ready (its cold start was paid: let it pay
    off), and with more than `outstanding` requests (None: it is drained first, so any number)."""

    def __init__(self, young_ns: int = 0, outstanding: int | None = None) -> None:
        self.young_ns = whole("young_ns", young_ns, least=0)
        self.outstanding = None if outstanding is None else whole("outstanding", outstanding, least=0)

    def protected(self, now_ns: int, member: Member) -> bool:
        young = member.ready_ns is not None and now_ns - member.ready_ns < self.young_ns
        busy = self.outstanding is not None and member.outstanding > self.outstanding
        return member.pinned or young or busy

    def pick(self, now_ns: int, members: Sequence[Member], count: int) -> tuple[int, ...]:
        """At most so many: those that start first (they serve nobody), then the least outstanding, then the newest,
        then the highest number."""
        free = [m for m in members if not self.protected(now_ns, m)]
        free.sort(key=lambda m: (m.ready_ns is not None, m.outstanding, -(m.ready_ns or 0), -m.replica))
        return tuple(m.replica for m in free[: max(0, count)])
