"""An engine in this process that computes its answers, with faults that are drawn beforehand: for whole sweeps."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.bench.target import Target
from workbench.errors import Failure
from workbench.flows.bench_prompts import Made
from workbench.flows.sweeps.points import Setting
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned

FAULTS = ("hangs at start", "out of memory", "dies", "errors", "slow", "interrupt")


class Service:
    """One server for all hosts; a host that is dead closes its connections."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.fault: str | None = None
        self.served = 0
        self.one_at_a_time_s = 0.0  # each answer waits for those before it, and takes so long
        self.free_s = 0.0  # when those who came so far are served
        self.dead = threading.Event()
        self.port: int = asyncio.run_coroutine_threadsafe(self._open(), self.loop).result(10)

    async def _open(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not self.dead.is_set():
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next(int(line.partition(":")[2]) for line in head.split("\r\n") if "content-length" in line)
                await self._answer(json.loads(await reader.readexactly(length)), writer)
        writer.close()

    async def _answer(self, asked: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        self.served += 1
        if self.fault == "errors":
            body = b'{"error": {"message": "no"}}'
            writer.write(b"HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                         % (len(body), body))
            return
        if self.fault == "slow":
            await asyncio.sleep(60)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        n = asked["max_tokens"]
        if self.one_at_a_time_s:
            now_s = self.loop.time()
            self.free_s = max(self.free_s, now_s) + self.one_at_a_time_s
            await asyncio.sleep(self.free_s - now_s)
        for i in range(n):
            if self.fault == "dies" and i == n // 2 and self.served > 1:
                self.dead.set()
                writer.transport.abort()
                raise ConnectionError
            _event(writer, {"choices": [{"index": 0, "text": "x"}]})
            await writer.drain()
            await asyncio.sleep(0)
        _event(writer, {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        _event(writer, {"choices": [], "usage": {"prompt_tokens": len(asked["prompt"]), "completion_tokens": n}})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    def close(self) -> None:
        def over() -> None:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_soon(self.loop.stop)

        self.loop.call_soon_threadsafe(over)
        self.thread.join(10)


def _event(writer: asyncio.StreamWriter, value: Any) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


@contextlib.contextmanager
def service() -> Iterator[Service]:
    found = Service()
    try:
        yield found
    finally:
        found.close()


class StandIn:
    """What the sweep sees of it. Each point takes the next fault (None: all goes well) when its prompts are made."""

    pid = None
    started_s = 0.0
    metrics_url = ""
    metric_names: Mapping[str, str] = {}

    def __init__(self, service: Service, faults: "Faults") -> None:
        self.service, self.faults = service, faults
        self.target = Target(f"http://127.0.0.1:{service.port}", "m", timeout_s=30.0)
        self.provenance = Provenance("real", "2026-11-23T00:00:00Z", engine="fake")
        self.stopped = False

    def prompts(self, schedule: Sequence[Planned], folder: Path) -> Made:
        self.service.served, self.service.fault, self.service.free_s = 0, self.faults.next(), 0.0
        if self.service.fault == "interrupt":
            raise KeyboardInterrupt
        return Made(["x" * item.asked_prompt_tok for item in schedule], 1, {"method": "one letter a token"})

    def metrics(self) -> dict[str, float]:
        return {}

    def alive(self) -> bool:
        return not self.stopped and not self.service.dead.is_set()

    def log_tail(self) -> list[str]:
        return ["the last line"]

    def stop(self) -> None:
        self.stopped = True
        self.faults.running -= 1


class Faults:
    """Faults in the order in which starts and points take them; none when they are used up."""

    def __init__(self, service: Service, drawn: Sequence[str | None]) -> None:
        self.service, self.drawn = service, list(drawn)
        self.running = self.starts = 0

    def next(self) -> str | None:
        return self.drawn.pop(0) if self.drawn else None

    def start(self, setting: Setting, log_dir: Path) -> StandIn:
        self.starts += 1
        if self.drawn and self.drawn[0] in ("hangs at start", "out of memory"):
            fault = self.drawn.pop(0)
            log_dir.mkdir(parents=True, exist_ok=True)
            (log_dir / "fake-1.log").write_text("loading\nCUDA out of memory\n" if fault == "out of memory" else "hm\n")
            said = "was not ready within 1 s" if fault == "hangs at start" else "ended at start (exit code 1)"
            raise Failure(f"engine 'fake' {said}")
        self.service.dead.clear()
        self.running += 1
        assert self.running == 1
        return StandIn(self.service, self)
