"""Filter, score, pick: small parts, put together by name."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Protocol

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.routing.least import drawn
from workbench.control.routing.protocol import Candidate, Clock, Randomness
from workbench.control.routing.sent import Sent


class Part(Protocol):
    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:
        """For each candidate what it would cost, in the part's own unit; None: not this one."""
        ...


class Outstanding:
    """Requests that this gateway has there."""

    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:  # noqa: ARG002
        return [candidate.outstanding for candidate in candidates]


class OutstandingTokens:
    """Tokens that this gateway has there."""

    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:  # noqa: ARG002
        return [candidate.outstanding_tok for candidate in candidates]


class Reported:
    """Requests waiting and running when it last reported: stale, and the same for every gateway. Alone it makes all of
    them send to the same replica until the next report (a test shows it). Without a report: 0."""

    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:  # noqa: ARG002
        return [0 if c.signal is None else c.signal.waiting + c.signal.running for c in candidates]


class Fresh:
    """Only replicas that reported within `age_ns`."""

    def __init__(self, age_ns: int = 5_000_000_000) -> None:
        self.age_ns = whole("age_ns", age_ns)

    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:  # noqa: ARG002
        return [0 if c.signal is not None and now_ns - c.signal.reported_ns <= self.age_ns else None
                for c in candidates]


class KvRoom:
    """Only replicas whose reported KV use is at most `most_ppm`."""

    def __init__(self, most_ppm: int = 900_000) -> None:
        self.most_ppm = whole("most_ppm", most_ppm, 0)

    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:  # noqa: ARG002
        return [None if c.signal is not None and c.signal.kv_used_ppm > self.most_ppm else 0 for c in candidates]


class Room:
    """Only replicas where this gateway has fewer than `most` requests."""

    def __init__(self, most: int) -> None:
        self.most = whole("most", most)

    def costs(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> list[int | None]:  # noqa: ARG002
        return [0 if c.outstanding < self.most else None for c in candidates]


PARTS: Mapping[str, type[Any]] = {
    "outstanding": Outstanding, "outstanding_tok": OutstandingTokens, "reported": Reported, "fresh": Fresh,
    "kv_room": KvRoom, "room": Room,
}


class Pipeline(Clock):
    """Least sum of weight x cost among the replicas no part excludes and whose share is not used up.

    `parts`: `[{"name": "reported", "weight": 3}, {"name": "kv_room", "most_ppm": 900000}]`. Where the parts exclude
    everybody, they are ignored: a bad answer is better than none (who must not be picked is no candidate).
    `corrected`: what was sent since a report counts as one `reported` request more.
    `choices`: of so many drawn ones only; 0: of all. Ties to the least sent to in the window, then the lowest number.
    `share_ppm`: whoever is picked has, of the M requests of the last `window_ns` (this one included; set it to the
    age of a signal), at most ceil(share x M / n), whatever the signals say; 0: no such bound. With G gateways: below
    share x M / n + G. Proof: docs/control/routing.md.
    """

    def __init__(self, parts: Sequence[Mapping[str, Any]], randomness: Randomness, corrected: bool = True,
                 choices: int = 0, share_ppm: int = 0, window_ns: int = 1_000_000_000) -> None:
        super().__init__()
        self.parts = [_part(i, dict(raw)) for i, raw in enumerate(parts)]
        if not self.parts:
            raise ValueError(f"parts: at least one of {', '.join(PARTS)}")
        self.choices, self.corrected = whole("choices", choices, 0), corrected
        if share_ppm and share_ppm < 1_000_000:
            raise ValueError(f"share_ppm {share_ppm}: at least 1000000, or nobody would be left; 0: no bound")
        self.share_ppm, self._randomness = whole("share_ppm", share_ppm, 0), randomness
        self._sent = Sent(whole("window_ns", window_ns))
        self._extra = sum(weight for weight, part in self.parts if isinstance(part, Reported)) if corrected else 0

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:
        self._tick(now_ns)
        able = self._within_share(self._sent.expire(now_ns), candidates)
        if self.choices:
            able = drawn(able, self.choices, self._randomness)
        best, least, sent = -1, 0, 0
        for candidate, cost in zip(able, self._sums(now_ns, item, able), strict=True):
            if cost is not None:
                before = self._sent.to.get(candidate.replica, 0)
                if best < 0 or cost < least or (cost == least and before < sent):
                    best, least, sent = candidate.replica, cost, before
        self._sent.add(now_ns, best)
        return best

    def _within_share(self, total: int, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        if not self.share_ppm:
            return candidates
        most, sent = -(-self.share_ppm * (total + 1) // (1_000_000 * len(candidates))), self._sent.to
        able = [c for c in candidates if sent.get(c.replica, 0) < most]
        return able or candidates  # only where others took their share and are no candidates now

    def _sums(self, now_ns: int, item: Waiting, able: Sequence[Candidate]) -> list[int | None]:
        found = [(weight, part.costs(now_ns, item, able)) for weight, part in self.parts]
        extra = self._extra
        base = [extra * self._sent.unreported(now_ns, candidate) for candidate in able] if extra else [0] * len(able)
        sums: list[int | None] = [*base]
        for weight, costs in found:
            sums = [None if cost is None or before is None else before + weight * cost
                    for cost, before in zip(costs, sums, strict=True)]
        if sums.count(None) < len(sums):
            return sums
        return [own + sum(weight * (costs[i] or 0) for weight, costs in found) for i, own in enumerate(base)]


def _part(i: int, raw: dict[str, Any]) -> tuple[int, Part]:
    name, weight = str(raw.pop("name", "")), raw.pop("weight", 1)
    if name not in PARTS:
        near = get_close_matches(name, PARTS, n=1)
        raise ValueError(f"parts.{i}.name {name!r} is unknown; "
                         + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PARTS)}"))
    whole(f"parts.{i}.weight", weight)
    try:
        return weight, PARTS[name](**raw)
    except TypeError as error:
        raise ValueError(f"parts.{i} {name!r}: {error}") from None
