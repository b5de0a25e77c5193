"""A simple engine on asyncio, with the same composition rule and timing as the simulator's replica."""

import asyncio
from collections.abc import AsyncIterator, Mapping
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
        self.lines: dict[str, asyncio.Queue[tuple[int, bool] | None]] = {}
        self.cached: dict[str, int] = {}
        self._work = asyncio.Event()
        self._task = loop.create_task(self._run())

    async def stream(self, ask: Arrived, attempt: int, model: str) -> AsyncIterator[Chunk]:
        if not self.up:
            raise EngineError("unsent", DOWN)
        name, plan = f"{ask.request_id}#{attempt}", self.plans[ask.request_id]
        line = self.lines[name] = asyncio.Queue()
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
            if self.lines.pop(name, None) is not None:
                self.replica.cancel(name)

    def report(self) -> Report:
        kv: Any = self.replica.batcher.kv  # type: ignore[attr-defined]
        return Report(self.number, self.loop.now_ns, self.replica.waiting_n, self.replica.running_n,
                      (kv.capacity - kv.free) * 10**6 // kv.capacity)

    async def fail(self, down_ns: int) -> None:
        """Everybody inside is told, in order of submission; caches are empty when it comes back."""
        self._task.cancel()
        lost, self.lines, self.up = self.lines, {}, False
        for line in lost.values():
            line.put_nowait(None)
        await self.loop.until_ns(self.loop.now_ns + down_ns, Turn.END, 1 << 31)
        self.replica, self.up = Replica(*self._make), True
        self._work = asyncio.Event()
        self._task = self.loop.create_task(self._run())

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
                if name in self.lines:
                    last = name in step.finished
                    self.lines[name].put_nowait((tok, last))
                    if last:
                        del self.lines[name]
