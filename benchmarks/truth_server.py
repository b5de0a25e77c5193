"""A server that knows when it really wrote: the truth that load generators are held against.

    python benchmarks/truth_server.py --port 8099 --core 1

Speaks OpenAI's streamed completions and chat over HTTP/1.1. Each answer's first token leaves 50 ms after the request
arrived (as the kernel noted it: requests that come at once must not wait for one another), the others 10 ms apart, one
event a write. `GET /truth` tells what arrived and was written when, and forgets it. While anyone is connected it asks
the clock all the time (one core is its own) and does nothing else.
"""

import argparse
import gc
import json
import os
import re
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

MS = 1_000_000
MOST_TOK = re.compile(rb'"max_(?:completion_)?tokens":\s*(\d+)')
HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: keep-alive\r\n\r\n")
READ_BYTES = 1 << 18
SO_TIMESTAMPNS = 35  # Linux: each read tells when its bytes arrived; Python has no name for it
STAMP = struct.Struct("@qq")
MOST_LATE_NS = 100 * MS  # a stamp older than this is not of this read


def arrived_ns(extra: list[tuple[int, int, bytes]], read_ns: int) -> int:
    """The kernel's stamp on our clock, or when the bytes were read."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == STAMP.size:
            seconds, rest_ns = STAMP.unpack(data)
            late_ns = time.time_ns() - (seconds * 1000 * MS + rest_ns)
            return time.perf_counter_ns() - late_ns if 0 <= late_ns < MOST_LATE_NS else read_ns
    return read_ns


def event(value: Any) -> bytes:
    """One event in one HTTP chunk."""
    text = b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(text), text)


def chunk(chat: bool, text: str, finish: str | None = None) -> bytes:
    """As vLLM writes them."""
    if chat:
        choice = {"index": 0, "delta": {"content": text} if text else {}, "logprobs": None, "finish_reason": finish}
    else:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    kind = "chat.completion.chunk" if chat else "text_completion"
    return event({"id": "cmpl-0123456789abcdef", "object": kind, "created": 1790000000, "model": "truth",
                  "choices": [choice]})


TOKEN = {chat: chunk(chat, " word") for chat in (False, True)}


def ending(chat: bool, tokens: int) -> bytes:
    """Everything after the last token."""
    usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5}
    return (chunk(chat, "", "length") + event({"object": "chunk", "choices": [], "usage": usage}) + event(b"[DONE]")
            + b"0\r\n\r\n")


class Stream:
    """One answer on its way. `times_ns`: when the request arrived, then of each write."""

    __slots__ = ("chat", "due_ns", "left", "send", "times_ns", "token", "tokens")

    def __init__(self, link: socket.socket, chat: bool, tokens: int, read_ns: int) -> None:
        self.chat, self.tokens, self.left = chat, tokens, tokens
        self.send, self.token = link.send, TOKEN[chat]
        self.times_ns, self.due_ns = array("q", [read_ns]), 0


class Truth:
    """One thread, one loop."""

    def __init__(self, port: int, ttft_ns: int, itl_ns: int) -> None:
        self.ttft_ns, self.itl_ns = ttft_ns, itl_ns
        self.door = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.door.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.door.fileno(), select.EPOLLIN)
        self.links: dict[int, tuple[socket.socket, bytearray]] = {}
        self.first: deque[Stream] = deque()  # each in order of what is due
        self.later: deque[Stream] = deque()
        self.written: list[array[int]] = []

    def run(self) -> None:
        while True:
            self.write_due()
            # a sleeping core would take its time to wake, and that would count as the client's
            for number, _ in self.poll.poll(0 if self.links else 0.05):
                if number == self.door.fileno():
                    self.accept()
                else:
                    self.read(number)

    def write_due(self) -> None:
        """Everything that is due, in order; of two that are due the one that was due first."""
        first, later, clock = self.first, self.later, time.perf_counter_ns
        while True:
            line = first if first and not (later and later[0].due_ns < first[0].due_ns) else later
            if not line or line[0].due_ns > clock():
                return
            stream = line.popleft()
            begins, stream.left = line is first, stream.left - 1
            data = HEAD + stream.token if begins else stream.token
            if not stream.left:
                data += ending(stream.chat, stream.tokens)
            now_ns = clock()
            try:
                stream.send(data)
            except OSError:  # the client left
                continue
            stream.times_ns.append(now_ns)
            if stream.left:
                stream.due_ns += self.itl_ns
                later.append(stream)
            else:
                self.written.append(stream.times_ns)

    def accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                link, _ = self.door.accept()
                link.setblocking(False)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with suppress(OSError):  # the cheapest there is: nothing is ever lost on loopback
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
                with suppress(OSError):  # elsewhere than on Linux
                    link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                self.links[link.fileno()] = link, bytearray()
                self.poll.register(link.fileno(), select.EPOLLIN)

    def read(self, number: int) -> None:
        link, held = self.links[number]
        try:
            data, extra, *_ = link.recvmsg(READ_BYTES, 64)
        except OSError:
            data, extra = b"", []
        now_ns = arrived_ns(extra, time.perf_counter_ns())
        if not data:
            self.poll.unregister(number)
            link.close()
            del self.links[number]
            return
        held += data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            head = bytes(held[:end]).lower()
            length = re.search(rb"content-length:\s*(\d+)", head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(held) < size:
                return
            body = bytes(held[end + 4 : size])
            del held[:size]
            self.answer(link, bytes(head.partition(b"\r\n")[0]), body, now_ns)

    def answer(self, link: socket.socket, line: bytes, body: bytes, now_ns: int) -> None:
        path = line.split(b" ")[1]
        if path.endswith(b"/completions"):
            asked = MOST_TOK.search(body)
            stream = Stream(link, b"/chat/" in path, int(asked[1]) if asked else 64, now_ns)
            stream.due_ns = now_ns + self.ttft_ns
            self.first.append(stream)
            return
        value: Any = {"object": "list", "data": [{"id": "truth", "object": "model", "max_model_len": 8192}]}
        if path == b"/truth":
            value, self.written = [list(times) for times in self.written], []
        found = json.dumps(value).encode()
        link.setblocking(True)
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(found), found))
        link.setblocking(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any; it is printed")
    parser.add_argument("--core", type=int, help="keep to this core")
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--itl-ms", type=float, default=10.0)
    given = parser.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    with suppress(OSError):  # before everyone else, where it may: what waits here is the truth
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        if os.getsid(0) == os.getpid():  # else others are in the session
            Path("/proc/self/autogroup").write_text("-20", encoding="ascii")
    gc.disable()
    truth = Truth(given.port, round(given.ttft_ms * MS), round(given.itl_ms * MS))
    print(truth.door.getsockname()[1], flush=True)
    with suppress(KeyboardInterrupt):
        truth.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
