"""The bytes of a request, made before the run so that sending is one write."""

from collections.abc import Sequence
from typing import Any

import orjson

from workbench import __version__
from workbench.bench.target import Target
from workbench.errors import UsageError
from workbench.runlog.schema import Planned

Prompt = str | Sequence[int]


def body(target: Target, planned: Planned, prompt: Prompt) -> bytes:
    """The JSON body: greedy, streamed, usage asked for, output length bounded."""
    value: dict[str, Any] = {
        "model": target.model, "max_tokens": planned.asked_output_tok, "temperature": 0,
        "stream": True, "stream_options": {"include_usage": True},
    }
    if target.api == "completions":
        value["prompt"] = prompt if isinstance(prompt, str) else list(prompt)
    elif isinstance(prompt, str):
        value["messages"] = [{"role": "user", "content": prompt}]
    else:
        raise UsageError("api: 'chat': takes text, not token ids; use api = 'completions' for exact token prompts")
    if target.ignore_eos:
        value["ignore_eos"] = True
    value |= target.extra_body
    return orjson.dumps({key: item for key, item in value.items() if item is not None})


def with_head(target: Target, content: bytes) -> bytes:
    """The whole HTTP/1.1 request."""
    place = target.endpoint
    lines = [
        f"POST {place.path} HTTP/1.1", f"Host: {place.host_header}", "Content-Type: application/json",
        "Accept: text/event-stream", f"Content-Length: {len(content)}",
        f"User-Agent: inference-workbench/{__version__}",
    ]
    if target.api_key:
        lines.append(f"Authorization: Bearer {target.api_key}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
