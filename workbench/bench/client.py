"""Sends requests over a pool of warm connections; every request ends in exactly one row."""

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import Any

from workbench.bench.connection import Connection
from workbench.bench.exchange import Exchange, one_line
from workbench.bench.target import Target
from workbench.bench.wire import Address, Wires
from workbench.errors import Failure
from workbench.runlog.schema import Outcome, Planned, Row

IDLE_LIMIT_S = 3.0  # uvicorn and cpp-httplib close an idle connection after 5 s: do not race them

BACKLOG = 64  # connections opened at once: a listening server queues some, and lets those beyond wait for a second


@dataclass(slots=True)
class Stats:
    """What the client did, for its judgement of itself."""

    connects: int = 0
    reads: int = 0
    chunks: int = 0
    races: int = 0  # requests that met a connection which the server was closing


class Client:
    """One endpoint, one event loop. `on_row` gets each finished row."""

    def __init__(self, target: Target, engine: str, on_row: Callable[[Row], None]) -> None:
        self._target, self._engine, self._on_row = target, engine, on_row
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._busy: dict[Exchange, Connection | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._zero_ns = 0
        self._address: Address | None = None
        self._tls = ssl.create_default_context() if target.endpoint.tls else None
        self.stats = Stats()
        self._wires = None if self._tls else Wires(self.stats)
        self.start_clock()
        self._keeps = True  # until the server is seen to close connections that it said it would keep

    def start_clock(self, at_ns: int | None = None) -> int:
        """Make that moment of the system's monotonic clock (default: now) t=0; returns it."""
        self._zero_ns = perf_counter_ns() if at_ns is None else at_ns
        if self._wires is not None:
            self._wires.zero_ns = self._zero_ns
        return self._zero_ns

    def clock(self) -> int:
        """Nanoseconds since t=0."""
        return perf_counter_ns() - self._zero_ns

    async def resolve(self) -> None:
        """Look the host up once, so that no name server is measured; raises Failure."""
        place = self._target.endpoint
        try:
            found = await self._loop.getaddrinfo(place.host, place.port, type=1)  # 1: SOCK_STREAM
        except OSError as error:
            raise Failure(f"{place.host}: cannot be found: {error.strerror or error}; check --url") from error
        # a name such as localhost has several addresses, and a server may listen on one of them only
        places = [(family, (str(address[0]), int(address[1]))) for family, *_, address in found]
        for self._address in places:
            if await self._opened() is not None:
                return
        self._address = places[0]  # refused: each request says so in its row

    async def warm(self, n: int) -> None:
        """Have n usable idle connections, as far as the server takes them."""
        self._idle = [item for item in self._idle if self._fresh(item)]
        while (missing := n - len(self._idle)) > 0:
            opened = await asyncio.gather(*(self._opened() for _ in range(min(missing, BACKLOG))))
            if not all(opened):
                return

    async def _opened(self) -> Connection | None:
        try:
            connection = await self._connect()
        except (OSError, TimeoutError):
            return None
        self.release(connection)
        return connection

    async def _connect(self) -> Connection:
        assert self._address is not None
        connection = Connection(self)
        connecting: Coroutine[Any, Any, Any] = (
            self._wires.connect(self._address, connection) if self._wires else self._loop.create_connection(
                lambda: connection, *self._address[1], ssl=self._tls, server_hostname=self._target.endpoint.host))
        await asyncio.wait_for(connecting, self._target.connect_timeout_s)
        return connection

    def release(self, connection: Connection) -> None:
        if connection.served and not self._keeps:
            connection.abort()
        else:
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection in self._idle:
            self._idle.remove(connection)
            if connection.served and self._loop.time() - connection.idle_since_s < IDLE_LIMIT_S:
                self._keeps = False

    def again(self, exchange: Exchange) -> None:
        """Send once more, on a connection of its own, what a closing connection never took."""
        self.stats.races += 1
        self._keeps = False
        exchange.attempts += 1
        for timer in exchange.timers:
            timer.cancel()
        exchange.timers.clear()
        self._on_new_connection(exchange)

    def _fresh(self, connection: Connection) -> bool:
        fresh = connection.usable and self._loop.time() - connection.idle_since_s < IDLE_LIMIT_S
        if not fresh:
            connection.abort()
        return fresh

    @property
    def warm_left(self) -> bool:
        """Whether the next request would find a connection open."""
        return bool(self._idle) and self._fresh(self._idle[-1])

    def submit(self, planned: Planned, content: bytes) -> "asyncio.Future[Row]":
        """Send now if a connection is open, else as soon as one is."""
        exchange = Exchange(planned, content, self._loop.create_future())
        while self._idle:
            connection = self._idle.pop()
            if self._fresh(connection):
                self._send(connection, exchange)
                return exchange.done
        self._on_new_connection(exchange)
        return exchange.done

    def _on_new_connection(self, exchange: Exchange) -> None:
        self._busy[exchange] = None
        task = self._loop.create_task(self._connect_and_send(exchange))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._connected(ended, exchange))

    def _connected(self, task: "asyncio.Task[None]", exchange: Exchange) -> None:
        """Whatever went wrong on the way to the socket, the request has its row."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.finish(exchange, "error", f"no connection: {type(error).__name__}: {error}", self.clock())

    async def _connect_and_send(self, exchange: Exchange) -> None:
        try:
            connection = await self._connect()
        except TimeoutError:
            limit = self._target.connect_timeout_s
            return self.finish(exchange, "timeout", f"no connection within {limit:g} s", self.clock())
        except OSError as error:
            known = error.errno if not isinstance(error, ssl.SSLError) else None
            reason = str(error) if known is None else os.strerror(known)
            return self.finish(exchange, "error", f"no connection: {reason}", self.clock())
        if exchange.ended:  # cancelled meanwhile
            return connection.abort()
        return self._send(connection, exchange)

    def _send(self, connection: Connection, exchange: Exchange) -> None:
        self._busy[exchange] = connection
        total_s, first_s = self._target.timeout_s, self._target.first_byte_timeout_s
        exchange.timers.append(
            self._loop.call_later(total_s, self._expire, exchange, f"no end of the answer within {total_s:g} s")
        )
        if first_s is not None:
            exchange.timers.append(self._loop.call_later(first_s, self._expire_first, exchange, first_s))
        connection.send(exchange)

    def _expire_first(self, exchange: Exchange, first_s: float) -> None:
        if not exchange.answer.at_ns:
            self._expire(exchange, f"no token within {first_s:g} s")

    def _expire(self, exchange: Exchange, reason: str) -> None:
        self._end_early(exchange, "timeout", reason)

    def _end_early(self, exchange: Exchange, outcome: Outcome, reason: str) -> None:
        connection = self._busy.get(exchange)
        if connection is not None:
            connection.drop()
        self.finish(exchange, outcome, reason, self.clock())

    def finish(self, exchange: Exchange, outcome: Outcome, problem: str | None, end_ns: int) -> None:
        """Turn an exchange into its row, once."""
        if exchange.ended:
            return
        exchange.ended = True
        for timer in exchange.timers:
            timer.cancel()
        self._busy.pop(exchange, None)
        self.stats.chunks += len(exchange.answer.at_ns)
        error = None if problem is None else one_line(problem, self._target.api_key)
        row = exchange.row(outcome, error, end_ns, self._target.model, self._engine)
        if not exchange.done.done():  # whoever waited for it may have been cancelled
            exchange.done.set_result(row)
        self._on_row(row)

    def skip(self, planned: Planned, reason: str) -> None:
        """A request that is not sent, and why: a row like any other."""
        row = replace(planned.unfinished(), outcome="cancelled", error=one_line(reason, self._target.api_key))
        self._on_row(replace(row, model=self._target.model, engine=self._engine))

    @property
    def in_flight(self) -> int:
        return len(self._busy)

    async def close(self, reason: str = "the run was stopped") -> None:
        """Cancel what is in flight (each becomes a row) and close every connection."""
        for exchange in list(self._busy):
            self._end_early(exchange, "cancelled", reason)
        for connection in list(self._idle):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # let the transports report that they are closed
        if self._wires is not None:
            self._wires.end()
