"""What the load generator's worker costs: CPU microseconds per streamed token, against a fast local server.

    python benchmarks/client_cpu.py [--tokens 200] [--streams 1,16,64]

Prints one JSON object. The server is a process of its own that sends one event a write and thinks about nothing;
only the worker's CPU time is counted, its start and the preparation of requests are not.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.runlog.provenance import Machine, collect
from workbench.runlog.schema import Planned

GAP_S = 0.004
REQUESTS_A_STREAM = 4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def framed(value: Any) -> bytes:
    data = b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNK = {"id": "cmpl-0123456789abcdef", "object": "text_completion", "created": 1790000000, "model": "m",
         "choices": [{"index": 0, "text": " word", "logprobs": None, "finish_reason": None}]}
TOKEN = framed(CHUNK)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            n = json.loads(await reader.readexactly(length))["max_tokens"]
            writer.write(HEAD)
            for _ in range(n):
                writer.write(TOKEN)
                await asyncio.sleep(GAP_S)
            finish = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
            total = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": n}}
            writer.write(framed(finish) + framed(total) + framed(b"[DONE]") + b"0\r\n\r\n")


def serve(ready: Connection) -> None:
    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def measure(port: int, streams: int, tokens: int, folder: Path) -> dict[str, Any]:
    n = streams * REQUESTS_A_STREAM
    schedule = [Planned(f"r{i}", None, 5, tokens) for i in range(n)]
    log = run(
        Target(f"http://127.0.0.1:{port}", "m"), schedule, ["hello"] * n, folder / f"{streams}.parquet",
        collect("real"), concurrency=streams,
    )
    client = log.provenance.client
    return {
        "streams": streams, "tokens": client["chunks"], "ok": log.outcomes()["ok"], "requests": n,
        "cpu_us_per_token": round(client["cpu_s"] * 1e6 / client["chunks"], 1),
        "cpu_frac": client["cpu_frac"], "tokens_per_read": round(client["chunks"] / client["reads"], 2),
        "lag_p99_ms": round(client["lag_s"]["p99"] * 1e3, 2), "loop": client["loop"],
        "client_limited": client["client_limited"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=200, help="tokens an answer")
    parser.add_argument("--streams", default="1,16,64", help="streams at once, comma between")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(port, int(item), given.tokens, Path(folder)) for item in given.streams.split(",")]
    server.terminate()
    machine = Machine.here()
    json.dump({"machine": {"cpu": machine.cpu, "cores": machine.cores, "os": machine.os},
               "python": sys.version.split()[0], "gap_ms": GAP_S * 1e3, "runs": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
