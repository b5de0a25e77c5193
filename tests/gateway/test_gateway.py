"""The asyncio driver by itself: clients that leave, engines that break, ids that come twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, Cancel, Finish, Gone
from workbench.control.plane.journal import Entry
from workbench.gateway.driver import Chunk, EngineError, Gateway
from workbench.gateway.virtual import VirtualLoop, run


class Scripted:
    """Says so many chunks a second apart, then what it was told to end with."""

    def __init__(self, chunks: int, ends: Exception | None = None) -> None:
        self.chunks, self.ends = chunks, ends
        self.closed: list[str] = []

    async def stream(self, ask: Arrived, attempt: int, model: str) -> AsyncIterator[Chunk]:
        try:
            for _ in range(self.chunks):
                await asyncio.sleep(1)
                yield Chunk(2)
            if self.ends is not None:
                raise self.ends
        finally:
            self.closed.append(f"{ask.request_id}#{attempt}")


@pytest.mark.parametrize(("ends", "says"), [
    (None, Finish("a", "ok", "", 1)), (EngineError("failure", "broken off"), Finish("a", "error", "broken off", 1)),
    (KeyError("choices"), Finish("a", "error", "KeyError: 'choices'", 1)),
])
def test_a_request_ends_however_its_engine_does(ends: Exception | None, says: Finish) -> None:
    async def main(loop: VirtualLoop) -> None:
        gateway = Gateway(plane_of({}), [Scripted(3, ends)], loop)
        asked = loop.create_task(gateway.ask(Arrived("a")))
        await asyncio.sleep(2.5)
        assert gateway.got == {"a": 4}
        assert await asked == says
        assert loop.now_ns == 3 * 10**9
        gateway.plane.check()
    run(main)


def test_a_client_that_leaves_frees_its_place_and_its_engine() -> None:
    async def main(loop: VirtualLoop) -> None:
        engine = Scripted(10)
        journal: list[Entry] = []
        gateway = Gateway(plane_of({"window": 1}), [engine], loop, journal=journal.append)
        first = loop.create_task(gateway.ask(Arrived("a")))
        second = loop.create_task(gateway.ask(Arrived("b")))
        await asyncio.sleep(2.5)
        first.cancel()
        assert await second == Finish("b", "ok", "", 1)
        assert loop.now_ns == 12_500_000_000
        assert engine.closed == ["a#1", "b#1"]
        [gone] = [entry for entry in journal if isinstance(entry.event, Gone)]
        assert gone.decisions[0] == Cancel("a", 1, 0, "the client gave up")
        gateway.plane.check()
    run(main)


def test_an_id_that_is_inside_is_refused_and_the_first_one_goes_on() -> None:
    async def main(loop: VirtualLoop) -> None:
        gateway = Gateway(plane_of({}), [Scripted(1)], loop)
        first = loop.create_task(gateway.ask(Arrived("a")))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="request a: is inside already"):
            await gateway.ask(Arrived("a"))
        assert await first == Finish("a", "ok", "", 1)
    run(main)


class Odd:
    """Says these chunks, whatever they are; `begins`: what stream() itself raises."""

    def __init__(self, *chunks: Any, begins: Exception | None = None, ends: Exception | None = None) -> None:
        self.chunks, self.begins, self.ends = chunks, begins, ends

    def stream(self, ask: Arrived, attempt: int, model: str) -> AsyncIterator[Chunk]:
        if self.begins is not None:
            raise self.begins
        return self._said()

    async def _said(self) -> AsyncIterator[Chunk]:
        for chunk in self.chunks:
            yield chunk
        if self.ends is not None:
            raise self.ends


@pytest.mark.parametrize(("engine", "outcome", "reason"), [
    (Odd(begins=ValueError("bad url")), "error", "ValueError: bad url"),
    (Odd(Chunk(1, 50), Chunk(1)), "ok", ""),
    (Odd(Chunk(1, -1)), "error", "the engine's chunk counts 1 tokens, -1 cached"),
    (Odd(Chunk(2), Chunk(-3)), "error", "the engine's chunk counts -3 tokens"),
    (Odd(Chunk(1.5)), "error", "the engine's chunk counts 1.5 tokens"),  # type: ignore[arg-type]
    (Odd(None), "error", "TypeError: "),
    (Odd(ends=EngineError("failure", "broken off", -1)), "error", "request a: prompt_tok 0"),
    (Odd(ends=EngineError("ok", "said so")), "error", "said so"),
    (Odd(ends=EngineError("unheard of", "said so")), "error", "said so"),  # type: ignore[arg-type]
])
def test_an_engine_that_answers_oddly_ends_its_request(engine: Odd, outcome: str, reason: str) -> None:
    async def main(loop: VirtualLoop) -> None:
        gateway = Gateway(plane_of({"window": 1}), [engine], loop)
        end = await gateway.ask(Arrived("a", prompt_tok=5))
        assert isinstance(end, Finish)
        assert (end.outcome, end.reason[:len(reason)]) == (outcome, reason)
        gateway.plane.check()
        assert not gateway.plane.desk.inside
    run(main)


def test_an_arrival_that_the_plane_refuses_is_forgotten() -> None:
    async def main(loop: VirtualLoop) -> None:
        gateway = Gateway(plane_of({}), [Scripted(1)], loop)
        with pytest.raises(ValueError, match="prompt_tok 0"):
            await gateway.ask(Arrived("a", prompt_tok=0))
        assert await gateway.ask(Arrived("a")) == Finish("a", "ok", "", 1)
        gateway.close()
        assert gateway.over
    run(main)


def test_nothing_is_kept_of_requests_that_ended() -> None:
    """One that left, one that broke, many that went well: what the gateway holds afterwards is what it held before."""
    async def main(loop: VirtualLoop) -> None:
        gateway = Gateway(plane_of({"replicas": 2}), [Scripted(2), Scripted(1, KeyError("x"))], loop)
        held = _sizes(gateway)
        left = loop.create_task(gateway.ask(Arrived("left")))
        await asyncio.sleep(0.5)
        left.cancel()
        await asyncio.gather(*(gateway.ask(Arrived(f"r{i}")) for i in range(20)))
        await asyncio.gather(left, return_exceptions=True)
        assert gateway.plane.desk.tally.ended == 21
        assert _sizes(gateway) == held
    run(main)


def _sizes(gateway: Gateway) -> dict[str, int]:
    return {name: len(held) for name, held in vars(gateway).items() if isinstance(held, dict | list | set)}
