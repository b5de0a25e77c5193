"""An asyncio event loop in virtual time: whole nanoseconds that pass at once when everybody waits.

Who is due at the same instant comes by (turn, lane, order of asking), and only after everything that is ready has run:
the same order as the simulator's clock, so both drivers tell the plane the same events in the same order.
"""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from typing import Any

_LANE_BITS = 32


class EverybodyWaits(RuntimeError):
    """Nothing is due any more, and somebody still waits: it would be for ever."""


class _NoWait(selectors.SelectSelector):
    """Asked to wait for files, it moves the clock instead."""

    jump: Callable[[], None]

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found and timeout != 0:
            self.jump()
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is in seconds as everywhere in asyncio; what matters uses `now_ns`, `call_at_ns` and `until_ns`."""

    def __init__(self) -> None:
        selector = _NoWait()
        selector.jump = self._jump
        self.now_ns = self._asked = 0
        self._due: list[tuple[int, int, int, asyncio.TimerHandle]] = []
        super().__init__(selector)

    def time(self) -> float:
        return self.now_ns / 1e9

    def call_at_ns(self, when_ns: int, call: Callable[[], object], turn: int = 0, lane: int = 0) -> asyncio.TimerHandle:
        """Not before now: what is late is due now."""
        handle = asyncio.TimerHandle(when_ns / 1e9, call, (), self)
        self._push(when_ns, turn, lane, handle)
        return handle

    async def until_ns(self, when_ns: int, turn: int = 0, lane: int = 0) -> None:
        future = self.create_future()
        handle = self.call_at_ns(when_ns, lambda: _done(future), turn, lane)
        try:
            await future
        finally:
            handle.cancel()

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """asyncio's own timers (sleep, wait_for) live on the same clock."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._push(round(when * 1e9), 0, 0, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Passed over when it comes to the top."""

    def _push(self, when_ns: int, turn: int, lane: int, handle: asyncio.TimerHandle) -> None:
        self._asked += 1
        heappush(self._due, (max(when_ns, self.now_ns), (turn << _LANE_BITS) + lane, self._asked, handle))

    def _jump(self) -> None:
        while self._due:
            when_ns, _, _, handle = heappop(self._due)
            if not handle.cancelled():
                self.now_ns = when_ns
                self.call_soon(handle._run)
                return
        raise EverybodyWaits(f"at {self.now_ns} ns everybody waits and nothing is due")


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def run(main: Callable[[VirtualLoop], Any]) -> Any:
    """The result of the coroutine that `main` makes, in a fresh virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()
