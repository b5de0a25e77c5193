"""Log-probabilities of a prompt in front of a server that has none: what it takes over, and what it lets through."""

import asyncio
import json
from typing import Any

import pytest

from engines.hosted.echo import Scored, echoing


def ask(path: str, body: bytes, score: Any = None) -> tuple[int, Any, list[bytes]]:
    """(status, parsed answer, what reached the server behind)."""
    reached: list[bytes] = []
    told: list[dict[str, Any]] = []

    async def behind(_scope: Any, receive: Any, send: Any) -> None:
        reached.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    pieces = [body[:5], body[5:]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    def scored(ids: list[int]) -> Scored:
        return [-float(token) for token in ids[1:]], [-1.0] * len(ids)

    asyncio.run(echoing(behind, score or scored)({"type": "http", "path": path, "method": "POST"}, receive, send))
    return told[0]["status"], json.loads(told[1]["body"]), reached


def test_echo_gives_a_log_probability_for_every_token_but_the_first() -> None:
    body = json.dumps({"model": "m", "prompt": [7, 3, 1], "echo": True, "logprobs": 1, "max_tokens": 0}).encode()
    status, answer, reached = ask("/v1/completions", body)
    assert (status, reached) == (200, [])
    assert answer["choices"][0]["logprobs"] == {
        "token_logprobs": [None, -3.0, -1.0], "top_logprobs": [None, {"greedy": -1.0}, {"greedy": -1.0}]}
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}


def test_a_token_asked_for_beyond_the_prompt_is_one_more_entry_and_prompts_have_a_choice_each() -> None:
    body = json.dumps({"prompt": [[7, 3], [7, 5, 2]], "echo": True, "logprobs": 1, "max_tokens": 1}).encode()
    status, answer, _ = ask("/v1/completions", body)
    assert status == 200
    assert [(choice["index"], choice["logprobs"]["token_logprobs"]) for choice in answer["choices"]] == [
        (0, [None, -3.0, -1.0]), (1, [None, -5.0, -2.0, -1.0])]
    assert all(len(choice["logprobs"]["top_logprobs"]) == len(choice["logprobs"]["token_logprobs"])
               for choice in answer["choices"])
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


@pytest.mark.parametrize("body", [b'{"prompt": "a", "max_tokens": 1}', b'{"prompt": "a", "echo": false}', b"not JSON"])
def test_all_else_reaches_the_server_whole(body: bytes) -> None:
    assert ask("/v1/completions", body) == (299, {}, [body])


@pytest.mark.parametrize("prompt", ["text", [1], [1, -2], [1, True], None, [], [[1, 2], [1]]])
def test_a_prompt_that_is_no_list_of_tokens_is_refused(prompt: Any) -> None:
    status, answer, _ = ask("/v1/completions", json.dumps({"prompt": prompt, "echo": True}).encode())
    assert status == 400
    assert "list of two token ids" in answer["error"]["message"]


def test_what_the_model_refuses_is_told() -> None:
    def score(_ids: list[int]) -> Scored:
        raise RuntimeError("needs continuous_batching off")

    body = json.dumps({"prompt": [1, 2], "echo": True}).encode()
    assert ask("/v1/completions", body, score)[:2] == (
        400, {"error": {"message": "needs continuous_batching off", "code": 400}})
