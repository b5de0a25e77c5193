"""Log-probabilities of a prompt for a server that has none: `echo` with `logprobs` at /v1/completions, as OpenAI's was.

The prompt is a list of token ids, or a list of such lists with a choice for each. The answer holds `token_logprobs` and
the greedy token's in `top_logprobs`, one for each token; the first has none. Where `max_tokens` asks for more, the
greedy token after the prompt is one more entry (lm-eval leaves out the last one as the token that was generated); there
is never more than one, and no text. Everything else goes on to the server.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from engines.hosted.guard import App, Receive, Scope, Send

PATH, BODY_BYTES = "/v1/completions", 64 << 20
# the log-probability of each token after the first; after each token, the last included, that of the greedy one
Scored = tuple[list[float], list[float]]


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
    prompts = asked_of(asked)
    return told(asked, prompts, [await asyncio.to_thread(score, ids) for ids in prompts])


def asked_of(asked: dict[str, Any]) -> list[list[int]]:
    """The prompts, as token ids. Raises ValueError."""
    given = asked.get("prompt")
    prompts: list[Any] = given if isinstance(given, list) and given and isinstance(given[0], list) else [given]
    if not all(_is_ids(ids) for ids in prompts):
        raise ValueError("echo: the prompt must be a list of two token ids or more, or a list of such lists")
    return prompts


def _is_ids(ids: Any) -> bool:
    return isinstance(ids, list) and len(ids) > 1 and all(type(token) is int and token >= 0 for token in ids)


def told(asked: dict[str, Any], prompts: list[list[int]], scored: list[Scored]) -> dict[str, Any]:
    """The answer to `asked`."""
    more = asked.get("max_tokens") != 0
    choices = []
    for index, (own, greedy) in enumerate(scored):
        values = [None, *own, *greedy[-1:]] if more else [None, *own]
        tops = [None, *({"greedy": value} for value in greedy)][:len(values)]
        logprobs = {"token_logprobs": values, "top_logprobs": tops}
        choices.append({"index": index, "text": "", "logprobs": logprobs, "finish_reason": "length"})
    prompt_tok, more_tok = sum(map(len, prompts)), len(prompts) if more else 0
    usage = {"prompt_tokens": prompt_tok, "completion_tokens": more_tok, "total_tokens": prompt_tok + more_tok}
    return {"object": "text_completion", "model": asked.get("model"), "choices": choices, "usage": usage}


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
