"""In turn: nothing is known of anybody's load."""

from collections.abc import Sequence

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.routing.protocol import Candidate


class RoundRobin:
    """Each in turn; who cannot take it is passed over and not made up for. Counts requests, so it starves small ones
    behind large ones (a test shows by how much)."""

    def __init__(self) -> None:
        self._last = -1

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        self._last = next((c.replica for c in candidates if c.replica > self._last), candidates[0].replica)
        return self._last


class SmoothWeighted:
    """In turn by weight, as evenly as can be: of any W requests in a row (W: the sum of weights, always the same
    candidates) beginning at a multiple of W, a replica gets its weight. Multiplying all weights changes nothing.

    Source: nginx's smooth weighted round robin (src/http/ngx_http_upstream_round_robin.c).
    """

    def __init__(self) -> None:
        self._credit: dict[int, int] = {}

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        credit, total, best = self._credit, 0, -1
        for candidate in candidates:
            weight = candidate.weight
            if weight < 1:
                whole(f"replica {candidate.replica}: weight", weight)
            total += weight
            now = credit[candidate.replica] = credit.get(candidate.replica, 0) + weight
            if best < 0 or now > credit[best]:
                best = candidate.replica
        credit[best] -= total
        return best
