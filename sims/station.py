"""A replica on the clock: it steps whenever it is idle and has work, and again at each iteration's end."""

from collections.abc import Callable

from sims.clock import Clock, Turn
from sims.replica import Iteration, Replica, Request


class Station:
    """Drives one replica and counts what it did. `began` and `ended` are told of every iteration."""

    def __init__(
        self, clock: Clock, replica: Replica, *,
        began: Callable[[Iteration], None], ended: Callable[[Iteration], None],
    ) -> None:
        self.clock, self.replica, self.began, self.ended = clock, replica, began, ended
        self.current: Iteration | None = None
        self._deciding = False
        self._busy_ns = 0
        self.iterations = 0  # completed
        self.sequences = 0  # sum over completed iterations of the sequences in the batch

    def submit(self, request: Request) -> None:
        self.replica.submit(self.clock.now_ns, request)
        if self.current is None:
            self._decide_soon()

    def busy_ns(self, until_ns: int) -> int:
        """Time spent in iterations up to `until_ns`, of the one in progress only the part that has passed."""
        return self._busy_ns + (until_ns - self.current.start_ns if self.current else 0)

    def _decide_soon(self) -> None:
        """Once everybody had a turn who arrives or ends at this instant."""
        if not self._deciding:
            self._deciding = True
            self.clock.at(self.clock.now_ns, Turn.DECIDE, self._decide)

    def _decide(self) -> None:
        self._deciding = False
        iteration = self.replica.step(self.clock.now_ns)
        if iteration is not None:
            self.current = iteration
            self.began(iteration)
            self.clock.at(iteration.end_ns, Turn.END, self._end)

    def _end(self) -> None:
        iteration, self.current = self.current, None
        assert iteration is not None
        self._busy_ns += iteration.end_ns - iteration.start_ns
        self.iterations += 1
        self.sequences += iteration.batch.decode_n + len(iteration.batch.prefills)
        self._deciding = True  # whatever is submitted by what follows belongs to the same decision
        self.ended(iteration)
        if self.clock.last_of_instant:
            self._decide()
        else:
            self.clock.at(self.clock.now_ns, Turn.DECIDE, self._decide)
