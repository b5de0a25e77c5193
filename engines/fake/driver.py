"""Drives the simulator's replica for a server: by the real clock, or by a virtual one as fast as it goes."""

import asyncio
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sims.replica import Iteration, Replica, Request

OnToken = Callable[[int, bool], None]  # (end of the iteration in ns, whether it is the last token)


@dataclass(order=True, slots=True)
class Arrival:
    at_ns: int
    sequence: int
    request: Request = field(compare=False)


class Driver:
    """Arrivals enter at the first iteration that starts at or after them, exactly as in the simulator.

    By the real clock an iteration starts at the *planned* end of the one before, so that a late wake-up of this
    process (a millisecond, usually) delays a token's delivery and never the following iterations.
    """

    def __init__(self, replica: Replica, clock: Literal["real", "virtual"], start_after: int = 1) -> None:
        self.replica, self.clock, self.start_after = replica, clock, start_after
        self.prompt_tok = self.generated_tok = self.submitted = 0
        self._now_ns = 0
        self._zero_ns = time.perf_counter_ns()
        self._inbox: list[Arrival] = []
        self._listeners: dict[str, OnToken] = {}
        self._wake = asyncio.Event()

    def now_ns(self) -> int:
        return self._now_ns if self.clock == "virtual" else time.perf_counter_ns() - self._zero_ns

    def submit(self, request: Request, on_token: OnToken, at_ns: int | None = None) -> int:
        """Let it arrive now, or on the virtual clock at `at_ns` if that is still to come; returns when."""
        now_ns = self.now_ns()
        arrival_ns = max(now_ns, at_ns) if at_ns is not None and self.clock == "virtual" else now_ns
        self.submitted += 1
        self._listeners[request.request_id] = on_token
        heapq.heappush(self._inbox, Arrival(arrival_ns, self.submitted, request))
        self._wake.set()
        return arrival_ns

    def cancel(self, request_id: str) -> None:
        """The client went away; nothing happens when it was finished."""
        if self._listeners.pop(request_id, None) is None:
            return
        kept = [arrival for arrival in self._inbox if arrival.request.request_id != request_id]
        if len(kept) == len(self._inbox):
            self.replica.cancel(request_id)
        heapq.heapify(kept)
        self._inbox = kept

    async def run(self) -> None:
        """Iterate for ever."""
        while True:
            if self.replica.idle:
                await self._arrival()
                self._now_ns = max(self._now_ns, self._inbox[0].at_ns)
            self._let_in()
            iteration = self.replica.step(self._now_ns)
            if iteration is not None:
                await self._until(iteration.end_ns)
                self._now_ns = iteration.end_ns
                self._deliver(iteration)

    async def _arrival(self) -> None:
        held = self.start_after if self.clock == "virtual" else 1
        while not self._inbox or self.submitted < held:
            self._wake.clear()
            await self._wake.wait()

    def _let_in(self) -> None:
        while self._inbox and self._inbox[0].at_ns <= self._now_ns:
            request = heapq.heappop(self._inbox).request
            self.prompt_tok += request.prompt_tok
            self.replica.submit(self._now_ns, request)  # cannot be refused: asked before it was submitted here

    async def _until(self, end_ns: int) -> None:
        left_s = 0.0 if self.clock == "virtual" else (end_ns - self.now_ns()) * 1e-9
        await asyncio.sleep(max(0.0, left_s))  # 0 still lets the sockets have their turn

    def _deliver(self, iteration: Iteration) -> None:
        finished = frozenset(iteration.finished)
        tokens = iteration.tokens or (1,) * len(iteration.emitted)
        for request_id, tok in zip(iteration.emitted, tokens, strict=True):
            self.generated_tok += tok
            last = request_id in finished
            listener = self._listeners.pop(request_id, None) if last else self._listeners.get(request_id)
            if listener is not None:
                for left in range(tok - 1, -1, -1):
                    listener(iteration.end_ns, last and not left)
