"""A server that does exactly what a script says and notes when it really wrote: the truth that rows are held to."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

from workbench.bench.plan import Plan
from workbench.bench.target import Target
from workbench.bench.worker import drive
from workbench.runlog.part import Part, read_part
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned, Row

Script = Callable[["Reply"], Awaitable[None]]
PROVENANCE = Provenance("real", "2026-11-23T00:00:00Z", engine="scripted")


class Reply:
    """One request being answered. `wrote[label]` is when (system monotonic ns) that part had been written."""

    def __init__(
        self, index: int, asked: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        self.index, self.asked, self.headers, self.writer = index, asked, headers, writer
        self.wrote: dict[str, int] = {}
        self.before: dict[str, int] = {}

    async def raw(self, data: bytes, label: str = "") -> None:
        self.before[label] = perf_counter_ns()
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()
        self.wrote[label] = perf_counter_ns()

    async def head(self, status: int = 200, kind: str = "text/event-stream", more: str = "") -> None:
        await self.raw(
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Transfer-Encoding: chunked\r\n\r\n".encode(), "head"
        )

    async def body(self, data: bytes, label: str = "") -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data), label)

    async def events(self, *values: Any, label: str = "") -> None:
        """All of them in one write."""
        await self.body(b"".join(event(value) for value in values), label)

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n", "end")

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": words}], **more}


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def usage(output: int, prompt: int = 7) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": output}}


FINISH = {"choices": [{"index": 0, "text": "", "delta": {}, "finish_reason": "length"}]}


async def plain_answer(reply: Reply) -> None:
    """One event a token, then finish reason, usage and [DONE]."""
    n = reply.asked["max_tokens"]
    await reply.head()
    for i in range(n):
        await reply.events(text("x"), label=f"token {i}")
    await reply.events(FINISH, usage(n), b"[DONE]", label="usage")
    await reply.end()


class Server:
    """Answers with `script`; keeps every reply by its index in order of arrival."""

    def __init__(self, script: Script) -> None:
        self.script, self.replies = script, []  # type: Script, list[Reply]
        self.connections = 0

    async def start(self) -> "asyncio.Server":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self._server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
                asked = json.loads(await reader.readexactly(int(headers["content-length"])))
                self.replies.append(Reply(len(self.replies), asked, headers | {"": lines[0]}, writer))
                await self.script(self.replies[-1])
        writer.close()


def plan_of(
    n: int, *, output_tok: int = 4, gap_s: float | None = 0.0, port: int = 0, part: Path = Path("x.part.jsonl"),
    concurrency: int | None = None, stagger_s: float = 0.0, numbered: bool = False, **target: Any,
) -> Plan:
    """n requests, `gap_s` apart, or in a closed loop; `numbered` ones ask for 1, 2, 3 ... tokens."""
    times = [None if concurrency else round(i * (gap_s or 0) * 1e9) for i in range(n)]
    schedule = [Planned(f"r{i:03d}", at, 7, i + 1 if numbered else output_tok) for i, at in enumerate(times)]
    where = Target(**{"url": f"http://127.0.0.1:{port}", "model": "m", "timeout_s": 20.0} | target)
    return Plan.of(
        where, schedule, ["hello"] * n, part=part, provenance=PROVENANCE, concurrency=concurrency, stagger_s=stagger_s
    )


class Measured:
    """Rows in the order of their ids, the server that answered, and the client's judgement."""

    def __init__(self, part: Part, server: Server, client: dict[str, Any]) -> None:
        self.rows: list[Row] = sorted(part.rows, key=lambda row: row.request_id)
        self.part, self.server, self.client = part, server, client
        self.zero_ns: int = client["zero_monotonic_ns"]

    def at(self, label: str, index: int = 0) -> int:
        """When the server began to write that, on the run's clock: nothing of it was read earlier."""
        return self.server.replies[index].before[label] - self.zero_ns


def measure(script: Script, n: int = 1, *, stop_after_s: float | None = None, **options: Any) -> Measured:
    """Run the worker's own code, in this process, against a script."""
    async def go(folder: str) -> Measured:
        server = Server(script)
        listening = await server.start()
        plan = plan_of(n, port=server.port, part=Path(folder) / "x.part.jsonl", **options)
        stop = asyncio.Event()
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, stop.set)
        client = await drive(plan, stop, lambda message: None)
        listening.close()
        return Measured(read_part(plan.part), server, client)

    with TemporaryDirectory() as folder:
        return asyncio.run(go(folder))


@contextlib.contextmanager
def serving(script: Script) -> Iterator[Server]:
    """The server in a thread of its own, for runs that start the real worker process."""
    server, ready = Server(script), threading.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        await server.start()
        ready.set()

    def body() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=body)
    thread.start()
    ready.wait(5)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


def tokens(rows: Sequence[Row]) -> list[int | None]:
    return [row.output_tok for row in rows]
