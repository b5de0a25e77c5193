"""What is done when an attempt fails: again, later, or not at all. Never after the first byte."""

from typing import Literal, NamedTuple

from workbench.control.limits.answer import whole
from workbench.control.routing.protocol import Clock, Randomness

# unsent: no connection. failure: 5xx or broken off. rejected: 429. timeout. refused: any other 4xx
Cause = Literal["unsent", "failure", "rejected", "timeout", "refused"]


class Attempt(NamedTuple):
    """An attempt that failed. `number` counts from 1. `sent_tok`: output tokens the client already has."""

    request_id: str
    number: int
    cause: Cause
    sent_tok: int = 0
    retry_after_ns: int = 0  # what the replica asked for
    deadline_ns: int | None = None
    continues: bool = False  # the engine can go on from prompt + emitted tokens


class Retry(NamedTuple):
    """Send it again at `at_ns`; `past_tok` emitted tokens go with the prompt (0: from the beginning)."""

    request_id: str
    at_ns: int
    past_tok: int = 0


class GiveUp(NamedTuple):
    request_id: str
    reason: str


class RetryBudget:
    """Each new request puts in `ratio_ppm` of a retry, each retry takes one out; at most `burst` are kept.

    From the beginning to any moment: retries <= burst + ratio x requests. In any interval: the same with the
    requests of that interval. So a backend that fails everything sees at most 1 + ratio times the load, plus burst.
    Source: Finagle's RetryBudget, gRPC's retry throttling (proposal A6).
    """

    def __init__(self, ratio_ppm: int = 100_000, burst: int = 10) -> None:
        self.ratio_ppm, self.burst = whole("ratio_ppm", ratio_ppm, 0), whole("burst", burst, 0)
        self._ppm = burst * 1_000_000

    def request(self) -> None:
        self._ppm = min(self._ppm + self.ratio_ppm, self.burst * 1_000_000)

    def take(self) -> bool:
        if self._ppm < 1_000_000:
            return False
        self._ppm -= 1_000_000
        return True


class Retries(Clock):
    """At most `most` attempts, within the budget and the deadline, after exponential backoff with full jitter.

    Wait: a random part of min(most_wait_ns, wait_ns x 2^(number - 1)) (Brooker 2015, "Exponential backoff and
    jitter"), never less than the replica asked for. After the first byte only a continuation, where the engine offers
    it and `continuation` allows it; otherwise the client sees the failure: a second answer would not continue the
    first.
    """

    def __init__(self, randomness: Randomness, most: int = 3, wait_ns: int = 50_000_000,
                 most_wait_ns: int = 2_000_000_000, ratio_ppm: int = 100_000, burst: int = 10,
                 continuation: bool = True) -> None:
        super().__init__()
        self.most, self.wait_ns = whole("most", most), whole("wait_ns", wait_ns)
        self.most_wait_ns, self.continuation = whole("most_wait_ns", most_wait_ns, wait_ns), continuation
        self.budget, self._randomness = RetryBudget(ratio_ppm, burst), randomness

    def request(self, now_ns: int) -> None:
        """A new request came (not a retry of one)."""
        self._tick(now_ns)
        self.budget.request()

    def failed(self, now_ns: int, attempt: Attempt) -> Retry | GiveUp:
        self._tick(now_ns)
        request_id, drawn = attempt.request_id, self._randomness.random()  # always one draw: common random numbers
        if attempt.cause == "refused":
            return GiveUp(request_id, "the request itself is wrong: it would be refused again")
        if attempt.sent_tok and not (attempt.continues and self.continuation):
            return GiveUp(request_id, "the first byte is out")
        if attempt.number >= self.most:
            return GiveUp(request_id, f"{attempt.number} attempts")
        doubled = min(attempt.number - 1, self.most_wait_ns.bit_length())
        most_ns = min(self.most_wait_ns, self.wait_ns << doubled)
        at_ns = now_ns + max(int(drawn * most_ns), attempt.retry_after_ns)
        if attempt.deadline_ns is not None and at_ns >= attempt.deadline_ns:
            return GiveUp(request_id, "it would come after its deadline")
        if not self.budget.take():
            return GiveUp(request_id, "the budget of retries is used up")
        return Retry(request_id, at_ns, attempt.sent_tok)
