"""One keep-alive HTTP/1.1 connection: bytes in, one timestamp a read, events out."""

import asyncio
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import httptools

from workbench.bench.exchange import Exchange
from workbench.bench.form import Form
from workbench.bench.sse import one_event
from workbench.bench.wire import Wire
from workbench.runlog.schema import Outcome

if TYPE_CHECKING:
    from workbench.bench.client import Client

Transport = asyncio.Transport | Wire
NO_TIMES = array("q")
HEAD_LIMIT_BYTES = 1 << 16
RACE_S = 1.0  # a close that crossed our request on the way is seen within this
DONE_GRACE_S = 1.0  # a server that sends [DONE] and never ends the response is given this long


class Connection(asyncio.Protocol):
    """Carries one exchange at a time; httptools calls the `on_...` methods."""

    __slots__ = (
        "_at_ns", "_between", "_client", "_clock", "_ended", "_exchange", "_form", "_head_bytes", "_keep", "_now_ns",
        "_parser", "_problem", "_whole", "idle_since_s", "served", "transport",
    )

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._clock: Callable[[], int] = client.clock
        self._parser: Any = None
        self._exchange: Exchange | None = None
        self._now_ns = 0
        self._head_bytes = 0  # read before the headers were complete; -1 once they are
        self._problem: str | None = None
        self._ended = False  # the response is complete
        self._keep = False
        self._between = False  # two HTTP chunks, as far as the parser has seen
        self._whole = False  # and two events: what comes next may be read without the parser
        self._form: Form | None = None  # a read of this form says nothing but when it came
        self._at_ns = NO_TIMES
        self.transport: Transport | None = None
        self.idle_since_s = 0.0
        self.served = 0  # answers it has carried

    # asyncio's side, or the wire's

    def connection_made(self, transport: asyncio.BaseTransport | Wire) -> None:
        self.transport = cast(Transport, transport)  # uvloop's is one by behaviour, not by class
        self._client.stats.connects += 1

    def send(self, exchange: Exchange) -> None:
        """Hand the request to the socket, now."""
        assert self.transport is not None
        self._exchange, self._parser = exchange, httptools.HttpResponseParser(self)
        self._head_bytes, self._problem, self._ended, self._keep = 0, None, False, False
        self._between = self._whole = False
        self._form, self._at_ns = None, exchange.answer.at_ns
        exchange.sent_ns = self._clock()
        self.transport.write(exchange.content)

    def data_received(self, data: bytes) -> None:
        """A read by the event loop's transport: the only timestamp of it, before any parsing."""
        now_ns = self._clock()
        self._client.stats.reads += 1
        self.received(data, now_ns)

    def received(self, data: bytes, now_ns: int) -> None:
        """What one read brought, which returned at `now_ns`."""
        form = self._form
        if form is not None and form.frames(data):
            return self._at_ns.append(now_ns)
        self._now_ns = now_ns
        exchange = self._exchange
        if exchange is None:
            return self.abort()  # nothing was asked: not a connection to trust
        if self._whole and (payload := one_event(data)) is not None:
            self._problem = exchange.event(payload, now_ns)
            self._form = exchange.answer.form
            return self._settle() if self._problem is not None or exchange.answer.done else None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._problem = self._problem or "the server switched protocols"
        except httptools.HttpParserError as error:
            # a complete answer followed by bytes that are none of it: keep the answer, drop the connection
            if not self._ended:
                self._problem = self._problem or f"not an HTTP answer: {error}"
            self._keep = False
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT_BYTES and not self._ended:
                self._problem = self._problem or f"headers of more than {HEAD_LIMIT_BYTES} bytes"
        if exchange.streams and not self._ended:
            self._whole = self._between and data.endswith(b"\r\n") and exchange.events.between
            self._form = exchange.answer.form if self._whole else None
        return self._settle()

    def connection_lost(self, error: Exception | None) -> None:
        self._now_ns = self._clock()
        self._client.forget(self)
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.status and (exchange.answer.complete or not exchange.streams) and error is None:
            self._finish(exchange.problem())  # the end of the connection is the end of the body
        elif not exchange.status and self._went_away_unasked(exchange):
            self._exchange = None
            self._client.again(exchange)
        elif not exchange.status:
            self._finish("the connection was closed before an answer" + (f": {error}" if error else ""))
        else:
            why = f"the connection was lost: {error}" if error else exchange.problem()
            self._finish(None if exchange.answer.done and exchange.answer.at_ns else why)

    def _went_away_unasked(self, exchange: Exchange) -> bool:
        """Whether the server had closed a kept connection before it saw this request: no answer was begun.

        Some promise to keep it and close it after each answer (llama.cpp 11549, when it streams).
        """
        soon = self._now_ns - (exchange.sent_ns or 0) < RACE_S * 1e9
        return self.served > 0 and not self._head_bytes and soon and exchange.attempts == 1

    # httptools' side

    def on_header(self, name: bytes, value: bytes) -> None:
        exchange, key = self._exchange, name.lower()
        if exchange is None or self._ended:
            return
        if key == b"content-type":
            exchange.kind = value.partition(b";")[0].strip().decode("latin-1").lower()
        elif key == b"location":
            exchange.location = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._exchange is not None and not self._ended:
            status = int(self._parser.get_status_code())
            if status >= 200:  # 1xx are announcements; the answer follows
                self._head_bytes = -1
                self._exchange.status = status
                self._exchange.streams = status == 200 and self._exchange.kind == "text/event-stream"

    def on_chunk_header(self) -> None:
        self._between = False

    def on_chunk_complete(self) -> None:
        self._between = True

    def on_body(self, data: bytes) -> None:
        if self._exchange is not None and not self._ended and self._problem is None:
            self._problem = self._exchange.take(data, self._now_ns)

    def on_message_complete(self) -> None:
        if self._exchange is not None and self._exchange.status:
            self._ended = True
            self._keep = bool(self._parser.should_keep_alive())

    # how it ends

    def _settle(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if self._problem is not None:
            self._finish(self._problem)
            self.abort()
        elif self._ended:
            self.served += 1
            self._finish(exchange.problem())
            if self._keep:
                self._client.release(self)
            else:
                self.abort()
        elif exchange.answer.done and not exchange.answer_timed:
            exchange.answer_timed = True
            loop = asyncio.get_running_loop()
            exchange.timers.append(loop.call_later(DONE_GRACE_S, self._give_up, exchange, self._now_ns))

    def _give_up(self, exchange: Exchange, end_ns: int) -> None:
        if self._exchange is exchange:
            self._now_ns = end_ns
            self._finish(exchange.problem())
            self.abort()

    def _finish(self, problem: str | None) -> None:
        exchange, self._exchange, self._form = self._exchange, None, None
        if exchange is not None:
            outcome: Outcome = "ok" if problem is None else "rejected" if exchange.status == 429 else "error"
            self._client.finish(exchange, outcome, problem, self._now_ns)

    def drop(self) -> None:
        """Let go of the exchange (it timed out or was cancelled) and close."""
        self._exchange = self._form = None
        self.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()
