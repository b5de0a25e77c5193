"""Log-probabilities of a prompt for a server that has none: `echo` with `logprobs` at /v1/completions, as OpenAI's was.

The prompt is a list of token ids, nothing is generated beyond it, and the answer holds `token_logprobs` and the greedy
token's in `top_logprobs`, one for each token; the first has none. Everything else goes on to the server.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from engines.hosted.guard import App, Receive, Scope, Send

PATH, BODY_BYTES = "/v1/completions", 64 << 20
Scored = tuple[list[float], list[float]]  # of each token after the first: its own log-probability, the greedy one's


def echoing(app: App, score: Callable[[list[int]], Scored]) -> App:
    """`app` with `echo`. `score` runs in a thread; what it raises as ValueError or RuntimeError is told as HTTP 400."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        body = await _whole(receive)
        asked = _parsed(body)
        if asked.get("echo") is not True:
            await app(scope, _again(body, receive), send)
            return
        try:
            status, answer = 200, await _answer(asked, score)
        except (ValueError, RuntimeError) as error:
            status, answer = 400, {"error": {"message": str(error)[:500], "code": 400}}
        data = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    return serve


async def _answer(asked: dict[str, Any], score: Callable[[list[int]], Scored]) -> dict[str, Any]:
    ids = asked.get("prompt")
    if not isinstance(ids, list) or len(ids) < 2 or not all(type(token) is int and token >= 0 for token in ids):
        raise ValueError("echo: the prompt must be a list of two token ids or more")
    own, top = await asyncio.to_thread(score, ids)
    logprobs = {"token_logprobs": [None, *own], "top_logprobs": [None, *({"greedy": value} for value in top)]}
    choice = {"index": 0, "text": "", "logprobs": logprobs, "finish_reason": "length"}
    usage = {"prompt_tokens": len(ids), "completion_tokens": 0, "total_tokens": len(ids)}
    return {"object": "text_completion", "model": asked.get("model"), "choices": [choice], "usage": usage}


def _parsed(body: bytes) -> dict[str, Any]:
    """{} for what the server itself will refuse."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _whole(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for whom it was meant."""
    given = False

    async def once() -> dict[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
