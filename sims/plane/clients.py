"""What clients do without being asked: they give up, and whoever got no answer asks again, wisely or not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from sims.plane.rows import Line
from workbench.control.plane.draws import Draws
from workbench.control.plane.events import Answer, Finish, Reject
from workbench.runlog.schema import Planned

WORTH_IT = frozenset((429, 500, 502, 503, 504))  # a wrong key, name or prompt stays wrong
MARK = "~"  # r17~2: the second time that r17 was asked


@dataclass(frozen=True, slots=True)
class Habits:
    """Of one kind of client. It asks `most` times in all. Its first wait is `wait_ns`, each next one `factor` times as
    long, at most `longest_ns`; where it `obeys`, at least as long as the answer said. `spread_frac` of a wait is drawn:
    1 is full jitter, 0 sends everybody back at one moment."""

    patience_ns: int | None = None
    most: int = 1
    wait_ns: int = 0
    factor: float = 1.0
    longest_ns: int | None = None
    spread_frac: float = 0.0
    obeys: bool = True

    def wait_for_ns(self, again: int, uniform: float) -> int:
        wait_ns = self.wait_ns * self.factor ** min(again - 1, 64)  # beyond, a float ends
        if self.longest_ns is not None:
            wait_ns = min(wait_ns, self.longest_ns)
        return round(wait_ns * (1 - self.spread_frac * uniform))


class Again(NamedTuple):
    """The same request under an id of its own, sent then. It is meant since when it was first meant."""

    at_ns: int
    plan: Planned


class Clients:
    """`habits` of whoever sends a request."""

    def __init__(self, habits: Callable[[Planned], Habits], seed: int) -> None:
        self.habits, self.seed = habits, seed
        self.sent_ns: dict[str, int] = {}  # when a repetition goes out

    def patience_ns(self, plan: Planned) -> int | None:
        return self.habits(plan).patience_ns

    def again(self, now_ns: int, line: Line, end: Reject | Answer | Finish) -> Again | None:
        """None: it is content, or gives up."""
        habits = self.habits(line.plan)
        if habits.most == 1 or not _failed(end):
            return None
        name, _, times = line.plan.request_id.partition(MARK)
        tries = int(times or 1)
        if tries >= habits.most:
            return None
        at_ns = now_ns + habits.wait_for_ns(tries, Draws(self.seed, f"client/{name}/{tries}").random())
        if habits.obeys and isinstance(end, Reject) and end.retry_after_ns:
            at_ns = max(at_ns, now_ns + end.retry_after_ns)
        next_ = f"{name}{MARK}{tries + 1}"
        self.sent_ns[next_] = at_ns
        return Again(at_ns, replace(line.plan, request_id=next_))


def meant(request_id: str) -> str:
    """The id of the first time that this was asked."""
    return request_id.partition(MARK)[0]


def _failed(end: Reject | Answer | Finish) -> bool:
    if isinstance(end, Reject):
        return end.status in WORTH_IT
    return isinstance(end, Finish) and end.outcome != "ok"


