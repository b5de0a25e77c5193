"""A simple engine on asyncio, with the same composition rule and timing as the simulator's replica."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from sims.clock import Turn
from sims.replica import IterationTime, Replica, Request
from sims.rules import EngineRules
from workbench.control.plane.events import Arrived, Report
from workbench.gateway.driver import Chunk, EngineError
from workbench.gateway.virtual import VirtualLoop
from workbench.runlog.schema import Planned

DOWN = "replica down"


class OneEngine:
    """A task that steps while there is work, and a line of chunks for each stream."""

    def __init__(self, loop: VirtualLoop, number: int, rules: EngineRules, timing: IterationTime,
                 plans: Mapping[str, Planned]) -> None:
        self.loop, self.number, self.plans = loop, number, plans
        self._make = rules, timing
        self.replica = Replica(rules, timing)
        self.up = True
        self.held: list[Callable[[], None]] | None = None  # what waits for the network to heal
        self.lines: dict[str, asyncio.Queue[tuple[int, bool] | None]] = {}
        self.inside: dict[str, None] = {}  # what it computes, in order of submission
        self.cached: dict[str, int] = {}
        self._work = asyncio.Event()
        self._task = loop.create_task(self._run())

    async def stream(self, ask: Arrived, attempt: int, model: str) -> AsyncIterator[Chunk]:
        if self.held is not None:
            await self._healed(self.held)
        if not self.up:
            await self.loop.until_ns(self.loop.now_ns, Turn.END, self.number)  # nobody answers at once
            raise EngineError("unsent", DOWN)
        name, plan = f"{ask.request_id}#{attempt}", self.plans[ask.request_id]
        line = self.lines[name] = asyncio.Queue()
        self.inside[name] = None
        self.replica.submit(self.loop.now_ns, Request(
            name, plan.asked_prompt_tok, plan.asked_output_tok, plan.prefix_ids, plan.prefix_tok, plan.priority))
        self._work.set()
        try:
            last = False
            while not last:
                got = await line.get()
                if got is None:
                    raise EngineError("failure", DOWN)
                tok, last = got
                yield Chunk(tok, self.cached.get(name, 0))
        finally:
            if self.lines.get(name) is line:
                self._through(lambda: self._forget(name))

    def report(self) -> Report:
        kv: Any = self.replica.batcher.kv  # type: ignore[attr-defined]
        return Report(self.number, self.loop.now_ns, self.replica.waiting_n, self.replica.running_n,
                      (kv.capacity - kv.free) * 10**6 // kv.capacity)

    def die(self) -> None:
        """Everybody inside is told, in order of submission; caches are empty when it comes back."""
        self._task.cancel()
        lost, self.inside, self.up = self.inside, {}, False
        for name in lost:
            if name in self.lines:
                self.lines.pop(name).put_nowait(None)

    def rise(self) -> None:
        self.replica, self.up = Replica(*self._make), True
        self._work = asyncio.Event()
        self._task = self.loop.create_task(self._run())

    async def _healed(self, held: list[Callable[[], None]]) -> None:
        healed = self.loop.create_future()
        held.append(lambda: None if healed.done() else healed.set_result(None))
        await healed

    def _through(self, act: Callable[[], None]) -> None:
        """Now, or when the network heals."""
        if self.held is None:
            act()
        else:
            self.held.append(act)

    def _forget(self, name: str) -> None:
        self.lines.pop(name, None)
        if name in self.inside:
            del self.inside[name]
            self.replica.cancel(name)

    def _give(self, name: str, tok: int, *, last: bool) -> None:
        if name in self.lines:
            self.lines[name].put_nowait((tok, last))
            if last:
                del self.lines[name]

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            await self.loop.until_ns(self.loop.now_ns, Turn.DECIDE, self.number)
            step = self.replica.step(self.loop.now_ns)
            if step is None:
                self._work.clear()
                continue
            self.cached.update(zip(step.started, step.cached_tok, strict=False))
            await self.loop.until_ns(step.end_ns, Turn.END, self.number)
            tokens = step.tokens or (1,) * len(step.emitted)
            for name, tok in zip(step.emitted, tokens, strict=True):
                if name in self.inside:
                    self._through(partial(self._give, name, tok, last=name in step.finished))
                    if name in step.finished:
                        del self.inside[name]
