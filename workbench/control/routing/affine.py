"""The same session, or the same beginning of a prompt, to the same replica: its prefix cache has it."""

from collections.abc import Sequence

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.routing.hashing import Ring, mixed, point
from workbench.control.routing.protocol import Candidate


class SessionAffine:
    """A session's replica: the one with the highest hash of both (rendezvous hashing, Thaler and Ravishankar 1998).

    No state but a memory of answers. One that goes away loses its sessions to the others evenly; nobody else's move.
    Without a session it goes by user, then by request. It does not look at load: a busy session keeps its replica busy.
    """

    REMEMBERED = 65_536

    def __init__(self) -> None:
        self._seeds: dict[int, int] = {}
        self._replicas: list[int] = []
        self._known: dict[str, int] = {}  # of these replicas

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        who, replicas = item.session or item.user or item.request_id, [candidate.replica for candidate in candidates]
        if replicas != self._replicas or len(self._known) >= self.REMEMBERED:
            self._replicas, self._known = replicas, {}
        if who not in self._known:
            self._known[who] = self._highest(point(who), replicas)
        return self._known[who]

    def _highest(self, key: int, replicas: list[int]) -> int:
        best, highest = -1, -1
        for replica in replicas:
            if replica not in self._seeds:
                self._seeds[replica] = point(f"replica {replica}")
            height = mixed(key ^ self._seeds[replica])
            if height > highest:
                best, highest = replica, height
        return best


class PrefixAffine:
    """By the prompt's first `depth` block ids on a ring; whoever is at its bound passes the request on.

    A replica has at most ceil(bound x (outstanding + 1) / n) requests out, the new one included. So no hot prefix loads
    one replica with more than `bound` times its share. Source: Mirrokni, Thorup and Zadimoghaddam 2016,
    "Consistent hashing with bounded loads" (c = bound). A prompt without ids goes by session, then by request.
    """

    def __init__(self, depth: int = 1, bound_ppm: int = 1_250_000, places: int = 64) -> None:
        self.depth, self.places = whole("depth", depth), whole("places", places)
        self.bound_ppm = whole("bound_ppm", bound_ppm, 1_000_000)
        self._rings: dict[tuple[int, ...], Ring] = {}

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        out, most = 1, 0
        for candidate in candidates:
            out += candidate.outstanding
        most = -(-self.bound_ppm * out // (1_000_000 * len(candidates)))
        able = {c.replica for c in candidates if c.outstanding < most}
        found = self._ring(candidates).owner(self.place(item), able)
        assert found is not None  # the least busy has at most (out - 1) / n < most
        return found

    def place(self, item: Waiting) -> int:
        ids = item.prefix_ids
        if ids:  # the id at a depth stands for everything before it
            return point(f"prefix {ids[min(self.depth, len(ids)) - 1]}")
        return point(item.session or item.request_id)

    def _ring(self, candidates: Sequence[Candidate]) -> Ring:
        replicas = tuple(candidate.replica for candidate in candidates)
        ring = self._rings.get(replicas)
        if ring is None:
            if len(self._rings) >= 64:  # replicas come and go: forget the oldest set
                del self._rings[next(iter(self._rings))]
            ring = self._rings[replicas] = Ring(replicas, self.places)
        return ring
