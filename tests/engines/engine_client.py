"""A plain client: one request, its events, nothing measured."""

import json
from typing import Any

import httpx

import engines


def post(running: engines.Running, path: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.url + path, json=body, headers=headers, timeout=60)


def events(running: engines.Running, path: str, body: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Every event of a stream, and the last data line."""
    headers = {"Authorization": f"Bearer {running.api_key}"}
    found, last = [], ""
    with httpx.stream("POST", running.url + path, json={**body, "stream": True}, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                last = line.removeprefix("data: ")
                if last != "[DONE]":
                    found.append(json.loads(last))
    return found, last
