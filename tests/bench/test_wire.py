"""Plain connections on real sockets: everything that was sent is read, in order, with the end, however it was cut."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from workbench.bench.client import Stats
from workbench.bench.wire import READ_BYTES, Wire, Wires

LIMIT_S = 5.0


class Heard:
    """A connection that keeps what it is told; `ended` resolves to why it was lost."""

    def __init__(self) -> None:
        self.data, self.reads = b"", []  # type: bytes, list[int]
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, wire: Wire) -> None:
        self.wire = wire

    def received(self, data: bytes, now_ns: int) -> None:
        self.data += data
        self.reads.append(now_ns)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(error)  # raises when it is told twice


def with_wires(body: Callable[[Wires, Callable[[], Awaitable[tuple[Any, socket.socket]]]], Awaitable[None]]) -> None:
    """Run `body(wires, pair)`; `pair()` is a connection and the server's end of it."""
    async def main() -> None:
        wires = Wires(Stats())
        with socket.create_server(("127.0.0.1", 0)) as door:
            async def pair() -> tuple[Any, socket.socket]:
                heard = Heard()
                await wires.connect((socket.AF_INET, door.getsockname()), heard)  # type: ignore[arg-type]
                return heard, door.accept()[0]

            await asyncio.wait_for(body(wires, pair), LIMIT_S)
        wires.end()

    asyncio.run(main())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([READ_BYTES, READ_BYTES], [])
@given(st.lists(st.integers(1, 3 * READ_BYTES), max_size=6), st.lists(st.booleans(), max_size=6))
def test_everything_is_read_and_then_the_end(sizes: list[int], waits: list[bool]) -> None:
    """The last piece and the end come together; the loop looks in between where `waits` says so."""
    async def body(wires: Wires, pair: Any) -> None:
        heard, server = await pair()
        sent = b"".join(bytes([65 + i]) * size for i, size in enumerate(sizes))
        with server:
            for i, size in enumerate(sizes):
                server.sendall(bytes([65 + i]) * size)
                if i < len(waits) and waits[i]:
                    await asyncio.sleep(0)
        assert await heard.ended is None
        assert heard.data == sent
        assert heard.reads == sorted(heard.reads)
        assert heard.wire.is_closing()

    with_wires(body)


def test_a_read_is_dated_from_t_zero_between_its_write_and_its_hearing() -> None:
    async def body(wires: Wires, pair: Any) -> None:
        heard, server = await pair()
        wires.zero_ns = zero_ns = perf_counter_ns() - 10**9
        before_ns = perf_counter_ns() - zero_ns
        server.sendall(b"x")
        server.close()
        await heard.ended
        assert before_ns < heard.reads[0] < perf_counter_ns() - zero_ns

    with_wires(body)


def test_a_request_larger_than_the_socket_is_sent_whole() -> None:
    async def body(wires: Wires, pair: Any) -> None:
        heard, server = await pair()
        whole = bytes(range(256)) * (1 << 15)
        heard.wire.write(whole)
        assert heard.wire in wires.held_up
        server.setblocking(False)
        got = b""
        while len(got) < len(whole):
            got += await asyncio.get_running_loop().sock_recv(server, 1 << 20)
        assert got == whole
        assert not wires.held_up
        server.close()
        await heard.ended

    with_wires(body)


def test_one_that_is_closed_by_what_another_brought_is_not_read() -> None:
    async def body(wires: Wires, pair: Any) -> None:
        (one, first), (other, second) = await pair(), await pair()
        heard = one.received
        one.received = lambda data, now_ns: (heard(data, now_ns), other.wire.abort())
        for server in (first, second):
            server.sendall(b"x")
        wires._read([(one.wire.number, 1), (other.wire.number, 1)])
        assert (one.data, other.data) == (b"x", b"")
        assert await other.ended is None
        first.close()
        assert await one.ended is None
        second.close()

    with_wires(body)


def test_a_reset_is_an_error_and_so_is_a_write_after_it() -> None:
    async def body(wires: Wires, pair: Any) -> None:
        (read, first), (write, second) = await pair(), await pair()
        for server in (first, second):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            server.close()
        write.wire.write(b"x")
        for heard in (read, write):
            assert isinstance(await heard.ended, ConnectionError)
        write.wire.abort()  # again: nothing

    with_wires(body)


def test_a_refused_connection_raises() -> None:
    async def main() -> None:
        wires = Wires(Stats())
        with pytest.raises(ConnectionRefusedError):
            await wires.connect((socket.AF_INET, ("127.0.0.1", 1)), Heard())  # type: ignore[arg-type]
        wires.end()
        wires.end()

    asyncio.run(main())
