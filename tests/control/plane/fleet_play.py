"""A small world for a plane with operations: requests of one length, cold starts, nodes with heartbeats."""

import heapq
from collections.abc import Callable, Mapping
from typing import Any

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Answer,
    Arrived,
    Cancel,
    Event,
    Finish,
    Heartbeat,
    Left,
    Notice,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Start,
    Stop,
    Time,
    Wake,
)
from workbench.control.plane.journal import Entry

SECOND = 10**9


def _nothing() -> None:
    pass


class FleetPlay:
    """It does what is decided, and watches: tokens grow, and who is sent somewhere is sent to one that is ready."""

    def __init__(self, facts: Mapping[str, Any], service_ns: int = SECOND, cold_ns: int = 5 * SECOND,
                 hedged: bool = False) -> None:
        self.plane, self.service_ns, self.cold_ns = plane_of(facts), service_ns, cold_ns
        self.now_ns = self._sequence = self.count = self.highest = 0
        self.entries: list[Entry] = []
        self.token: dict[int, int] = {}  # of the process that runs as this replica, or starts
        self.inside: set[str] = set()
        self.ended: dict[str, Any] = {}
        self.sizes: list[tuple[int, int, int]] = []  # (when, +1 or -1, replica)
        self.silent: set[str] = set()
        self.hedged, self.watch = hedged, _nothing
        self._heap: list[tuple[int, int, Callable[[], None]]] = []

    @property
    def members(self) -> Any:
        assert self.plane.desk.operations is not None
        return self.plane.desk.operations.members

    def at(self, at_ns: int, do: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at_ns, self._sequence, do))

    def run(self, until_ns: int) -> None:
        while self._heap and self._heap[0][0] <= until_ns:
            at_ns, _, do = heapq.heappop(self._heap)
            self.now_ns = max(self.now_ns, at_ns)
            do()
        self.now_ns = max(self.now_ns, until_ns)

    def tell(self, event: Event) -> list[Any]:
        decisions = self.plane.on(self.now_ns, event)
        self.entries.append(Entry(self.now_ns, event, decisions))
        self.plane.check()
        self.watch()
        for one in decisions:
            self._do(one)
        return [one for one in decisions if not isinstance(one, Wake)]

    def _do(self, one: Any) -> None:
        if isinstance(one, Release):
            assert self.members.status[one.replica] == "ready"
            self.at(self.now_ns + self.service_ns,
                    lambda: self._left(one, self.token.get(one.replica, 0)))
        elif isinstance(one, Start):
            assert one.token > self.highest, "tokens grow"
            self.highest = self.token[one.replica] = one.token
            self.sizes.append((self.now_ns, 1, one.replica))
            self.at(self.now_ns + self.cold_ns, lambda: self._up(one))
        elif isinstance(one, Stop):
            assert not self.plane.desk.fleet.seen(one.replica).outstanding
            self.sizes.append((self.now_ns, -1, one.replica))
            self.token[one.replica] = -1
        elif isinstance(one, (Reject, Answer, Finish)):
            assert one.request_id not in self.ended
            self.inside.remove(one.request_id)
            self.ended[one.request_id] = one
        elif isinstance(one, Wake):
            self.at(one.at_ns, lambda: self.tell(Time()) and None)
        else:
            assert self.hedged or not isinstance(one, Cancel)

    def _up(self, one: Start) -> None:
        if self.token[one.replica] == one.token:
            self.tell(ReplicaUp(one.replica, one.token))

    def _left(self, one: Release, token: int) -> None:
        """By whatever runs there; the plane may have given it up."""
        dead = token != self.token.get(one.replica, 0)
        self.tell(Left(one.request_id, one.attempt, "failure" if dead else "ok", 10, 0, 0 if dead else 10))

    def arrive(self, **facts: Any) -> list[Any]:
        self.count += 1
        name = f"r{self.count}"
        self.inside.add(name)
        return self.tell(Arrived(name, **{"prompt_tok": 10, "estimated_tok": 10, **facts}))

    def every(self, gap_ns: int, until_ns: int, **facts: Any) -> None:
        """One after another, in equal steps from now."""
        for at_ns in range(self.now_ns + gap_ns, until_ns + 1, gap_ns):
            self.at(at_ns, lambda: self.arrive(**facts) and None)

    def heartbeats(self, nodes: Mapping[str, int], every_ns: int, until_ns: int) -> None:
        for at_ns in range(every_ns, until_ns + 1, every_ns):
            for node in sorted(nodes):
                self.at(at_ns, lambda node=node: None if node in self.silent else  # type: ignore[misc]
                        self.tell(Heartbeat(node)) and None)

    def breaks(self, replica: int, back_ns: int | None = None) -> None:
        """What runs there dies; the same process is back later, unless something else was started meanwhile."""
        token = self.token.get(replica, 0)
        if token < 0 or self.members.status[replica] != "ready":
            return
        self.tell(ReplicaDown(replica))
        self._fails(replica)
        if back_ns is not None:
            self.at(self.now_ns + back_ns, lambda: self.tell(ReplicaUp(replica, token)) and None)

    def notice(self, replica: int, in_ns: int) -> None:
        self.tell(Notice(replica, self.now_ns + in_ns))
        self.at(self.now_ns + in_ns, lambda: self._fails(replica))

    def _fails(self, replica: int) -> None:
        for name, state in list(self.plane.desk.inside.items()):
            for attempt in [number for number, where in state.out.items() if where == replica]:
                self.tell(Left(name, attempt, "failure", error="replica down"))

    def count_of(self, status: str) -> int:
        found: int = self.members.status.count(status)
        return found
