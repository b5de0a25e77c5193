"""The least busy, of all or of a few drawn ones, by what this gateway itself has out. The count is never stale."""

from bisect import insort
from collections.abc import Sequence
from typing import Literal

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.routing.protocol import Candidate, Randomness, any_of

By = Literal["requests", "tokens"]


def by_of(by: str) -> str:
    if by not in ("requests", "tokens"):
        raise ValueError(f"by {by!r}: must be 'requests' or 'tokens'")
    return by


class LeastOutstanding:
    """Least (outstanding + this one) / weight, in requests or in tokens; ties to whoever was picked longest ago.

    Compared by cross products, so multiplying all weights, or all token counts, changes nothing.
    """

    def __init__(self, by: By = "requests") -> None:
        self.by = by_of(by)
        self._picked: dict[int, int] = {}  # replica -> number of the pick that chose it last
        self._count = 0

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        tokens, own = self.by == "tokens", item.prompt_tok + item.estimated_tok
        picked, best, load, weight, age = self._picked, -1, 0, 1, 0
        for candidate in candidates:
            mine = candidate.outstanding_tok + own if tokens else candidate.outstanding + 1
            left, right = mine * weight, load * candidate.weight
            if best < 0 or left < right or (left == right and picked.get(candidate.replica, -1) < age):
                best, load, weight = candidate.replica, mine, candidate.weight
                age = picked.get(best, -1)
        picked[best] = self._count
        self._count += 1
        return best


class PowerOfChoices:
    """The least busy of `choices` drawn ones (all different, each set as likely).

    No replica is picked with a probability above choices / n, whatever anybody's load is said to be: no herd.
    Source: Mitzenmacher 2001, "The power of two choices in randomized load balancing"; its two draws are
    independent, ours differ.
    """

    def __init__(self, randomness: Randomness, choices: int = 2, by: By = "requests") -> None:
        self.choices, self.least = whole("choices", choices), LeastOutstanding(by)
        self._randomness = randomness

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:
        return self.least.pick(now_ns, item, drawn(candidates, self.choices, self._randomness))


def drawn(candidates: Sequence[Candidate], choices: int, randomness: Randomness) -> list[Candidate]:
    """`choices` different ones, in their order; always `choices` draws, so that variants keep the same numbers."""
    places: list[int] = []  # in order
    for left in range(len(candidates), len(candidates) - choices, -1):
        place = any_of(max(1, left), randomness)
        if left > 0:
            for other in places:
                place += place >= other
            insort(places, place)
    return [candidates[place] for place in places]
