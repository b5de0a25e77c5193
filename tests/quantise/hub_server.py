"""A hub of our own on loopback: the documented endpoints that a download uses, and nothing else."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` of the one model OWNER/NAME; `cut` names files whose first transfer breaks off half-way."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    status: int = 200
    cut: set[str] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)  # other bytes are served than were announced
    served: list[str] = field(default_factory=list)
    url: str = ""

    def info(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
            if name.endswith((".safetensors", ".gguf", ".bin")):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {"_id": "1", "id": "owner/name", "modelId": "owner/name", "sha": COMMIT, "private": False,
                "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
                "cardData": self.card, "createdAt": "2026-01-01T00:00:00.000Z"}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_given: Any) -> None: ...

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if hub.status != 200:
                self._answer(hub.status, b"{}")
            elif path.startswith("/api/models/owner/name"):
                self._answer(200, json.dumps(hub.info()).encode())
            elif path.startswith(f"/owner/name/resolve/{COMMIT}/"):
                self._file(path.split(COMMIT + "/", 1)[1])
            else:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _file(self, name: str) -> None:
            content = hub.files[name]
            tag = hashlib.sha256(content).hexdigest()
            if name in hub.spoilt:
                content = bytes(len(content))
            told = {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
            wanted = self.headers.get("Range", "")
            if self.command == "HEAD" or not wanted.startswith("bytes="):
                start = 0
            else:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            if self.command == "GET":
                hub.served.append(f"{name}@{start}")
            if start:
                told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(206 if start else 200, content[start:], told, cut=name in hub.cut and self.command == "GET")
            if self.command == "GET":
                hub.cut.discard(name)

        def _answer(self, code: int, body: bytes, more: dict[str, str] | None = None, cut: bool = False) -> None:
            self.send_response(code)
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

    return Handler


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
