"""A key and a check of the Host header around an ASGI application that has neither."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def guarded(app: App, key: str, closed: frozenset[str]) -> App:
    """`app` behind the key; /health stays open, the paths in `closed` are not offered at all."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        refused = _refusal(scope, key, closed)
        if refused is None:
            await app(scope, receive, send)
            return
        status, message = refused
        body = json.dumps({"error": {"message": message, "code": status}}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return serve


def _refusal(scope: Scope, key: str, closed: frozenset[str]) -> tuple[int, str] | None:
    headers = {name.lower(): value for name, value in scope["headers"]}
    host = headers.get(b"host", b"").decode("latin-1")
    name, _, port = host.rpartition(":")
    if (name if port.isdigit() else host) not in HOSTS:
        return 403, "this server answers on loopback only"
    if b"origin" in headers:
        return 403, "this server answers no web pages"
    if scope["path"] in closed:
        return 404, "not offered here"
    given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
    if scope["path"] != "/health" and not hmac.compare_digest(given, key.encode()):
        return 401, "Invalid API Key"
    return None
