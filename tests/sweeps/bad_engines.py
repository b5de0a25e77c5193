"""Engines that fail in the ways engines fail, as a user's own file: `--engine bad_engines.py:HANGS`.

Started by the workbench it is the server itself: `python bad_engines.py HOW CONFIG.json`. Probes (two tokens) are
answered well, so that what fails is the measurement.
"""

import http.server
import json
import os
import sys
import time
from pathlib import Path

from engines.contract import announce, read_config
from engines.record import Engine


def engine(name: str, start_timeout_s: float = 20.0) -> Engine:
    def argv(config: Path) -> tuple[str, ...]:
        return str(Path(__file__).resolve()), name, str(config)

    return Engine(name=name, title="fails", place="base", get="a test", argv=argv, needs_model=False,
                  start_timeout_s=start_timeout_s, tested="run here")


HANGS, MEMORY = engine("hangs", 1.0), engine("memory")
DIES, SLOW = engine("dies"), engine("slow")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    how = ""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        n = asked["max_tokens"]
        if n > 2 and self.how == "slow":
            print("thinking about it", file=sys.stderr, flush=True)
            time.sleep(60)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(n):
            if i == n // 2 and n > 2 and self.how == "dies":
                print("fatal: the kernel launch failed, token=abcdef0123456789", file=sys.stderr, flush=True)
                os._exit(3)
            self.event({"choices": [{"index": 0, "text": "x"}]})
        self.event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": len(str(asked["prompt"]).split()),
                                             "completion_tokens": n}})
        self.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def event(self, value: object) -> None:
        data = b"data: " + json.dumps(value).encode() + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def main(how: str, config: Path) -> int:
    read_config(config)
    if how == "hangs":
        print("loading weights", file=sys.stderr, flush=True)
        time.sleep(60)
    if how == "memory":
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 80 GiB", file=sys.stderr, flush=True)
        return 1
    Handler.how = how
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    announce(f"http://127.0.0.1:{server.server_address[1]}")
    server.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2])))
