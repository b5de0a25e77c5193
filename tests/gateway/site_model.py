"""A site on asyncio: nodes, their engines, who starts and stops them, and what breaks; each a task."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from one_engine import OneEngine

from sims.clock import Turn
from sims.plane.failures import Failure
from workbench.control.plane.events import Heartbeat, Notice, ReplicaDown, ReplicaUp, Start, Stop
from workbench.gateway.driver import Gateway
from workbench.gateway.virtual import VirtualLoop

BREAKS, BEATS = 1 << 31, (1 << 31) + 2
FOREVER = 1 << 62


class Site:
    """A launcher. What was asked of a replica before the last thing that was asked of it is forgotten (`asked`)."""

    def __init__(self, loop: VirtualLoop, engines: list[OneEngine], homes: Mapping[int, str], nodes: list[str],
                 start_ns: int, fresh: Callable[[int], OneEngine], *, heard: bool) -> None:
        self.loop, self.engines, self.homes, self.start_ns, self.fresh = loop, engines, dict(homes), start_ns, fresh
        self.heard = heard  # nodes send heartbeats
        self.gateway: Gateway
        self.asked, self.tokens, self.gone_until_ns = ([0] * len(engines) for _ in range(3))
        self.dead_until_ns = dict.fromkeys(nodes, 0)
        self.held: dict[str, list[Callable[[], None]]] = {}  # of nodes that cannot be reached
        self.ghosts: list[tuple[str, OneEngine]] = []
        self.busy: list[asyncio.Task[None]] = []

    def start(self, one: Start, up: Callable[[], None]) -> None:
        self.asked[one.replica] += 1
        self.tokens[one.replica] = one.token
        self.do(self._start(one, up, self.asked[one.replica]))

    async def _start(self, one: Start, up: Callable[[], None], asked: int) -> None:
        i = one.replica
        await self._until(self.loop.now_ns)
        engine = self.engines[i]
        if engine.held is not None:
            self.ghosts.append((self.homes[i], engine))
            self.engines[i] = self.fresh(i)
            self.engines[i].die()
        elif engine.up:
            engine.die()
        self.homes[i] = one.node or self.homes.get(i, "")
        while True:
            ready_ns = max(self.loop.now_ns, self.gone_until_ns[i], self.dead_until_ns.get(self.homes[i], 0))
            if ready_ns >= FOREVER:
                return
            await self._until(ready_ns + self.start_ns)
            if self.asked[i] != asked:
                return
            if self.dead_until_ns.get(self.homes[i], 0) <= self.loop.now_ns:
                break
        self._rise(i, up)

    def stop(self, one: Stop) -> None:
        self.asked[one.replica] += 1
        self.do(self._stop(one.replica, self.asked[one.replica], self.engines[one.replica]))

    async def _stop(self, i: int, asked: int, engine: OneEngine) -> None:
        await self._until(self.loop.now_ns)

        def act() -> None:
            if self.asked[i] == asked and engine is self.engines[i] and engine.up:
                engine.die()
        engine._through(act)

    async def fails(self, one: Failure) -> None:
        await self._until(one.at_ns)
        if self.gateway.over:
            return
        until_ns = FOREVER if one.end_ns is None else one.end_ns
        if one.kind == "replica":
            assert isinstance(one.target, int)
            await self._down([one.target], until_ns, say=True)
        elif one.kind == "node":
            name = str(one.target)
            self.dead_until_ns[name] = max(self.dead_until_ns[name], until_ns)
            await self._down([i for i, home in sorted(self.homes.items()) if home == name], until_ns,
                             say=not self.heard)
        elif one.kind == "spot":
            assert isinstance(one.target, int)
            i, at_ns = one.target, one.at_ns + one.notice_ns
            if self.engines[i].up:
                self.gateway.tell(Notice(i, at_ns))
            await self._until(at_ns)
            back_ns = FOREVER if one.down_ns is None else at_ns + one.down_ns
            self.gone_until_ns[i] = max(self.gone_until_ns[i], back_ns)
            await self._down([i], back_ns, say=True)
        else:
            await self._partition(str(one.target), until_ns)

    async def _down(self, hit: list[int], until_ns: int, *, say: bool) -> None:
        hit = [i for i in hit if self.engines[i].up]
        for i in hit:
            self.asked[i] += 1
        asked = [self.asked[i] for i in hit]
        for i in hit:
            self.engines[i].die()
            if say:
                self.gateway.tell(ReplicaDown(i))
        if until_ns < FOREVER:
            await self._until(until_ns)
            for i, before in zip(hit, asked, strict=True):
                if self.asked[i] == before:
                    self._rise(i, lambda i=i: self.gateway.tell(ReplicaUp(i, self.tokens[i])))  # type: ignore[misc]

    async def _partition(self, name: str, until_ns: int) -> None:
        held = self.held[name] = []
        for i, home in sorted(self.homes.items()):
            if home == name and self.engines[i].up:
                self.engines[i].held = held
        await self._until(until_ns)
        del self.held[name]
        ghosts = [engine for where, engine in self.ghosts if where == name]
        self.ghosts = [ghost for ghost in self.ghosts if ghost[0] != name]
        for engine in (*self.engines, *ghosts):
            if engine.held is held:
                engine.held = None
        for act in held:
            act()
            for _ in range(3):  # whoever waited for that goes on first
                await asyncio.sleep(0)
        for engine in ghosts:
            engine.die()

    def _rise(self, i: int, up: Callable[[], None]) -> None:
        if self.gateway.over:  # it would be heard among silent nodes
            return
        engine = self.engines[i]
        engine.rise()
        engine.held = self.held.get(self.homes.get(i, ""))
        engine._through(up)

    async def beats(self, every_ns: int, over: Callable[[], bool]) -> None:
        while True:
            await self.loop.until_ns(self.loop.now_ns + every_ns, Turn.END, BEATS)
            if over():
                return
            for name, until_ns in self.dead_until_ns.items():
                if until_ns <= self.loop.now_ns and name not in self.held:
                    self.gateway.tell(Heartbeat(name))

    async def _until(self, when_ns: int) -> None:
        await self.loop.until_ns(when_ns, Turn.END, BREAKS)

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.busy.append(self.loop.create_task(work))
        self.busy[-1].add_done_callback(self.busy.remove)
