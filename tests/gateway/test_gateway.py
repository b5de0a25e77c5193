"""The asyncio driver by itself: clients that leave, engines that break, ids that come twice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, Cancel, Finish, Gone
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
        assert await gateway.ask(Arrived("a")) == says
        assert gateway.got == {"a": 6}
        assert loop.now_ns == 3 * 10**9
        gateway.plane.check()
    run(main)


def test_a_client_that_leaves_frees_its_place_and_its_engine() -> None:
    async def main(loop: VirtualLoop) -> None:
        engine = Scripted(10)
        gateway = Gateway(plane_of({"window": 1}), [engine], loop)
        first = loop.create_task(gateway.ask(Arrived("a")))
        second = loop.create_task(gateway.ask(Arrived("b")))
        await asyncio.sleep(2.5)
        first.cancel()
        assert await second == Finish("b", "ok", "", 1)
        assert loop.now_ns == 12_500_000_000
        assert engine.closed == ["a#1", "b#1"]
        [gone] = [entry for entry in gateway.journal or () if isinstance(entry.event, Gone)]
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
