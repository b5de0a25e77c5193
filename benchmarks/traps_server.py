"""The eight traps of streamed answers as scripts, over chat: what is written after which pause, and what is true."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Step = tuple[float, bytes]  # wait so many seconds, then write that in one HTTP chunk
JSON_HEAD = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PING = b": ping\n\n"


def event(*values: Any) -> bytes:
    return b"".join(b"data: " + (item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n\n"
                    for item in values)


def chunk(delta: dict[str, Any], finish: str | None = None, usage_tok: int | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "truth",
             "choices": [choice]}
    return value if usage_tok is None else value | {"usage": _usage(usage_tok)}


def word(text: str = " word", usage_tok: int | None = None) -> dict[str, Any]:
    return chunk({"content": text}, usage_tok=usage_tok)


def _usage(n: int) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": n, "total_tokens": n + 5}


def last(n: int) -> bytes:
    total = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "truth",
             "choices": [], "usage": _usage(n)}
    return event(chunk({}, "length"), total, b"[DONE]")


@dataclass(frozen=True, slots=True)
class Trap:
    """`figure` is the reading that falls into it, `truth` its true value in the figure's unit.

    A reading is right within `slack`: at most half of what falling into the trap moves it.
    """

    name: str
    figure: str
    truth: float
    slack: float
    steps: tuple[Step, ...]
    fails: bool = False  # one in ten requests is answered with HTTP 500
    n: int = 4


TRAPS = (
    Trap("a role chunk is no token", "ttft_s", 0.05, 0.025,
         ((0.0, event(chunk({"role": "assistant", "content": ""}))), (0.05, event(word())), (0.01, event(word())),
          (0.0, last(2)))),
    Trap("four tokens in a chunk", "tpot_s", 0.06 / 12, 0.0005,
         (*((0.02, event(word(" a b c d", usage_tok=4 * i))) for i in range(1, 5)), (0.0, last(16)))),
    Trap("four events in a write", "output_tok", 8, 0.0,
         ((0.02, event(*(word(f" {c}") for c in "abcd"))), (0.06, event(*(word(f" {c}") for c in "efgh"))),
          (0.0, last(8)))),
    Trap("a stall", "most_gap_s", 0.25, 0.1,
         (*((0.25 if i == 3 else 0.005, event(word())) for i in range(6)), (0.0, last(6)))),
    Trap("reasoning comes first", "ttft_s", 0.02, 0.01,
         ((0.0, event(chunk({"role": "assistant", "content": None}))),
          (0.02, event(chunk({"reasoning_content": "hm"}))), (0.05, event(word())), (0.0, last(2)))),
    Trap("usage comes late", "e2e_s", 0.02, 0.1,
         ((0.01, event(word())), (0.01, event(word(), chunk({}, "length"))), (0.2, last(2)))),
    Trap("one in ten is HTTP 500", "failed", 3, 0.0,
         ((0.01, event(word())), (0.01, event(word())), (0.0, last(2))), fails=True, n=30),
    Trap("pings are no tokens", "ttft_s", 0.05, 0.025,
         ((0.0, PING), (0.02, PING), (0.03, event(word())), (0.01, event(word())), (0.0, last(2)))),
)


class TrapServer:
    """Answers every completion with the trap that is set."""

    def __init__(self) -> None:
        self.trap, self.asked, self.port = TRAPS[0], 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
                await reader.readexactly(int(length or 0))
                if b"/completions " in head.partition(b"\r\n")[0]:
                    await self.answer(writer)
                else:
                    self.plain(writer, 200, {"object": "list", "data": [{"id": "truth", "object": "model"}]})
        writer.close()

    def plain(self, writer: asyncio.StreamWriter, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        writer.write(JSON_HEAD % (status, len(body), body))

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if self.trap.fails and self.asked % 10 == 4:
            return self.plain(writer, 500, {"error": {"message": "out of luck"}})
        writer.write(STREAM_HEAD)
        for wait_s, data in self.trap.steps:
            await asyncio.sleep(wait_s)
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        return writer.write(b"0\r\n\r\n")


@contextlib.contextmanager
def trapping() -> Iterator[TrapServer]:
    """The server, in a thread of its own."""
    server, ready, loop = TrapServer(), threading.Event(), asyncio.new_event_loop()

    async def begin() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()

    def body() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(begin())
        loop.run_forever()

    threading.Thread(target=body, daemon=True).start()
    ready.wait(5)
    yield server
    loop.call_soon_threadsafe(loop.stop)
