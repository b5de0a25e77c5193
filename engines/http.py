"""Just enough HTTP/1.1 for a streaming API on loopback: keep-alive, chunked answers, no task per request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools
import orjson

HEADER_BYTES, BODY_BYTES = 64 * 1024, 64 * 1024 * 1024
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 413: "Content Too Large", 431: "Request Header Fields Too Large"}


@dataclass(slots=True)
class Incoming:
    """One request as it came; header names in lower case."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Reply:
    """The answer to one request: `json` at once, or `event` many times and then `done`."""

    def __init__(self, transport: asyncio.Transport, keep_alive: bool, ended: Callable[[], None]) -> None:
        self._transport, self._keep_alive, self._ended = transport, keep_alive, ended
        self._begun = False
        self.on_lost: Callable[[], None] = lambda: None  # the client went away before the end

    def json(self, status: int, value: object) -> None:
        self.text(status, orjson.dumps(value), "application/json")

    def error(self, status: int, message: str) -> None:
        self.json(status, {"error": {"message": message, "type": REASONS[status], "code": status}})

    def text(self, status: int, body: bytes, kind: str) -> None:
        self._head(status, f"Content-Type: {kind}\r\nContent-Length: {len(body)}", body)
        self._end()

    def event(self, value: object) -> None:
        """One server-sent event in one chunk."""
        self._chunk(b"data: " + orjson.dumps(value) + b"\n\n")

    def done(self) -> None:
        self._chunk(b"data: [DONE]\n\n")
        self._transport.write(b"0\r\n\r\n")
        self._end()

    def _chunk(self, data: bytes) -> None:
        framed = b"%x\r\n%b\r\n" % (len(data), data)
        if self._begun:
            self._transport.write(framed)
            return
        self._begun = True
        self._head(200, "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked", framed)

    def _head(self, status: int, headers: str, body: bytes) -> None:
        connection = "keep-alive" if self._keep_alive else "close"
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\n{headers}\r\nConnection: {connection}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _end(self) -> None:
        self.on_lost = lambda: None
        self._ended()
        if not self._keep_alive:
            self._transport.close()


class Connection(asyncio.Protocol):
    """Parses requests one after another and hands each to `serve`."""

    def __init__(self, serve: Callable[[Incoming, Reply], None]) -> None:
        self._serve = serve
        self._incoming = Incoming()
        self._header_bytes = 0
        self._reply: Reply | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        if self._reply is not None:
            self._reply.on_lost()

    def data_received(self, data: bytes) -> None:
        if self._reply is not None:  # a second request before the first was answered: not offered
            self._transport.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(400, "not HTTP/1.1")

    # what follows is called by the parser

    def on_url(self, url: bytes) -> None:
        self._incoming.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        self._incoming.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._incoming.method = self._parser.get_method().decode()
        if self._header_bytes > HEADER_BYTES:
            self._refuse(431, "the headers are too long")

    def on_body(self, body: bytes) -> None:
        if len(self._incoming.body) + len(body) > BODY_BYTES:
            self._refuse(413, f"the body is longer than {BODY_BYTES} bytes")
            return
        self._incoming.body += body

    def on_message_complete(self) -> None:
        if self._reply is not None:  # two requests in one piece
            self._transport.close()
        if self._transport.is_closing():
            return
        incoming, self._incoming, self._header_bytes = self._incoming, Incoming(), 0
        self._reply = Reply(self._transport, self._parser.should_keep_alive(), self._answered)
        self._serve(incoming, self._reply)

    def _answered(self) -> None:
        self._reply = None

    def _refuse(self, status: int, message: str) -> None:
        if not self._transport.is_closing():
            Reply(self._transport, False, self._answered).error(status, message)
