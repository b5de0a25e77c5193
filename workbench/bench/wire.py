"""Plain TCP inside the event loop: sockets on an epoll of their own, so that a read is one system call and a date.

An event loop's transport costs as much again for each read. Connecting, timers and TLS stay with the loop.
"""

import asyncio
import select
import socket
from time import perf_counter_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.bench.client import Stats
    from workbench.bench.connection import Connection

Address = tuple[socket.AddressFamily, tuple[str, int]]
READ_BYTES = 1 << 12
MOST_AT_ONCE = 1 << 12  # sockets told of in one system call
ENOUGH = 64  # reads, and the loop may look at its timers
# told once when something comes, when there is room to write, and when the other side closes
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
CLOSING = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Wire:
    """One socket: the part of an asyncio transport that a connection uses."""

    __slots__ = ("_sock", "_unsent", "_wires", "connection", "number", "recv")

    def __init__(self, wires: "Wires", sock: socket.socket, connection: "Connection") -> None:
        self._wires, self._sock, self.connection = wires, sock, connection
        self.number, self.recv = sock.fileno(), sock.recv
        self._unsent = memoryview(b"")

    def write(self, data: bytes) -> None:
        """Hand it to the socket: now what it takes, the rest when there is room."""
        self._unsent = memoryview(data)
        self.flush()

    def flush(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            return self.close(error)
        self._unsent = self._unsent[sent:]
        return (self._wires.held_up.add if self._unsent else self._wires.held_up.discard)(self)

    def abort(self) -> None:
        self.close(None)

    def close(self, error: Exception | None) -> None:
        """The connection hears of it once whoever calls has finished."""
        if not self.is_closing():
            self._sock.close()
            self._wires.closed(self, error)

    def is_closing(self) -> bool:
        return self._sock.fileno() < 0


class Wires:
    """All plain connections of a client. `zero_ns` is t=0 of the times that they are given."""

    def __init__(self, stats: "Stats") -> None:
        self.zero_ns, self._stats = 0, stats
        self._open: dict[int, Wire] = {}
        self.held_up: set[Wire] = set()  # whose request did not fit into the socket
        self._poll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._poll.fileno(), self._drain)

    async def connect(self, address: Address, connection: "Connection") -> None:
        """Raises OSError."""
        sock = socket.socket(address[0], socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(sock, address[1])
        except BaseException:  # also when nobody waits for it any longer
            sock.close()
            raise
        wire = Wire(self, sock, connection)
        self._open[wire.number] = wire
        self._poll.register(wire.number, EVENTS)
        connection.connection_made(wire)

    def closed(self, wire: Wire, error: Exception | None) -> None:
        """The epoll has forgotten it with its file."""
        del self._open[wire.number]
        self.held_up.discard(wire)
        self._loop.call_soon(wire.connection.connection_lost, error)

    def _drain(self) -> None:
        """Read all that has come, and once more while that was little: going round the loop costs more than asking.

        The loop's other work waits for all of it, so that its lag says how long a read may have waited.
        """
        n = 0
        while n < ENOUGH and (ready := self._poll.poll(0, MOST_AT_ONCE)):
            n += len(ready)
            self._read(ready)
        for wire in list(self.held_up):
            wire.flush()

    def _read(self, ready: list[tuple[int, int]]) -> None:
        """One read of each; its date is taken before anything is parsed."""
        wires, zero_ns, now = self._open, self.zero_ns, perf_counter_ns
        self._stats.reads += len(ready)
        for number, events in ready:
            wire = wires.get(number)
            if wire is None:
                continue  # closed by an earlier one
            try:
                data = wire.recv(READ_BYTES)
                now_ns = now() - zero_ns
            except BlockingIOError:
                continue  # it only has room to write
            except OSError as error:
                wire.close(error)
                continue
            if not data:
                wire.close(None)
                continue
            wire.connection.received(data, now_ns)
            if (events & CLOSING or len(data) == READ_BYTES) and not wire.is_closing():
                self._poll.modify(number, EVENTS)  # there is more: to be told again, after the others

    def end(self) -> None:
        """Once or more."""
        if not self._poll.closed:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()
