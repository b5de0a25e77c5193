"""Deficit round robin: tenants in turn, each with an allowance that it may save while it waits."""

from collections import deque
from collections.abc import Mapping

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.scheduling.flows import LEAST_FLOWS
from workbench.control.scheduling.heap import by_priority
from workbench.control.scheduling.lanes import Able, Laned
from workbench.control.scheduling.shares import Tab, Weights
from workbench.control.scheduling.waitlist import Line, Waitlist


class Turn:
    """One tenant in the ring: its allowance a turn, what it has left, and whether its turn has begun."""

    __slots__ = ("begun", "deficit", "line", "open", "quantum")

    def __init__(self, quantum: int, line: Line) -> None:
        self.quantum, self.line = quantum, line
        self.deficit = self.open = 0
        self.begun = False


class DeficitRoundRobin(Waitlist):
    """Source: Shreedhar & Varghese, IEEE/ACM Transactions on Networking 4(3), 1996.

    A turn gives `quantum` x weight of cost (prompt + estimated output, see Tab). While two tenants both wait, their
    service over weight differs by at most quantum + largest request of one / its weight + the same of the other.
    A request that costs more (less) than was guessed is taken from (given to) what its tenant has left.
    `count` "requests" makes every request cost 1: plain round robin, which starves tenants of small requests.
    """

    def __init__(
        self,
        quantum: int = 1024,
        weights: Mapping[str, int] | None = None,
        tier_weights: Mapping[str, int] | None = None,
        default_weight: int = 1,
        prompt_cost: int = 1,
        output_cost: int = 2,
        count: str = "tokens",
    ) -> None:
        super().__init__()
        if count not in ("tokens", "requests"):
            raise ValueError(f"count {count!r} is unknown; known: tokens, requests")
        self.quantum, self.count = whole("quantum", quantum), count
        self._weights = Weights(weights, tier_weights, default_weight)
        self.tab: Tab = Tab(prompt_cost, output_cost)
        self._forget_at = LEAST_FLOWS
        self._turns: dict[str, Turn] = {}
        self._ring: deque[Turn] = deque()

    def charge(self, now_ns: int, request_id: str, prompt_tok: int, output_tok: int, done: bool = True) -> None:
        self._tick(now_ns)
        tenant, more = self.tab.settle(request_id, prompt_tok, output_tok, done)
        turn = self._turns[tenant]
        turn.open -= done
        if self.count == "tokens":
            turn.deficit -= more
            if tenant not in self._of:
                turn.deficit = min(0, turn.deficit)  # nothing is saved up while idle, but debts stay

    def _cost(self, item: Waiting) -> int:
        return 1 if self.count == "requests" else self.tab.cost(item.prompt_tok, item.estimated_tok)

    def _added(self, item: Waiting) -> None:
        turn = self._turns.get(item.tenant) or self._new(item)
        turn.line.add(item)
        if self._of[item.tenant] == 1:
            self._ring.append(turn)

    def _first(self) -> Waiting:
        item = self._turned(None)
        assert item is not None  # only those that wait are in the ring
        return item

    def _first_able(self, able: Able) -> Waiting | None:
        return self._turned(able)

    def _turned(self, able: Able | None) -> Waiting | None:
        """Turns the ring until a tenant can pay for its first request. Asking twice changes nothing more. Who cannot
        go is passed over: a turn that has begun goes on when it can, without another allowance."""
        ring, refused, passed = self._ring, 0, 0
        while passed < len(ring):
            turn = ring[0]
            item = _next(turn, able)
            if item is None:
                passed += 1
                refused += 1
            else:
                if not turn.begun:
                    turn.begun, turn.deficit = True, turn.deficit + turn.quantum
                if self._cost(item) <= turn.deficit:
                    return item
                turn.begun = False
                refused += 1
                passed = 0
            ring.rotate(-1)
            if refused == len(ring) and passed < len(ring):
                self._skip(able)
                refused = passed = 0
        return None

    def _skip(self, able: Able | None) -> None:
        """Nobody could pay in a whole round: go at once to the last round before somebody can."""
        those = [(turn, item) for turn in self._ring if (item := _next(turn, able)) is not None]
        rounds = min(-((turn.deficit - self._cost(item)) // turn.quantum) - 1 for turn, item in those)
        for turn, _ in those:
            turn.deficit += rounds * turn.quantum

    def _released(self, item: Waiting) -> None:
        turn, cost = self._turns[item.tenant], self._cost(item)
        self.tab.count(item, self.tab.cost(item.prompt_tok, item.estimated_tok))
        turn.open += 1
        turn.deficit -= cost
        if item.tenant not in self._of:
            self._leave(turn)

    def _removed(self, item: Waiting) -> None:
        if item.tenant not in self._of:
            self._leave(self._turns[item.tenant])

    def _new(self, item: Waiting) -> Turn:
        if len(self._turns) >= self._forget_at:  # who neither waits nor owes is as if never seen
            self._turns = {name: turn for name, turn in self._turns.items()
                           if turn.open or turn.deficit or name in self._of}
            self._forget_at = max(LEAST_FLOWS, 2 * len(self._turns))
        turn = Turn(self.quantum * self._weights.weight(item), self._line(by_priority))
        self._turns[item.tenant] = turn
        return turn

    def _leave(self, turn: Turn) -> None:
        self._ring.remove(turn)
        turn.deficit, turn.begun = min(0, turn.deficit), False


def _next(turn: Turn, able: Able | None) -> Waiting | None:
    """Of this tenant; None: it waits only for what cannot go."""
    if able is None:
        return turn.line.first()
    assert isinstance(turn.line, Laned)  # the order was split
    return turn.line.first_able(able)
