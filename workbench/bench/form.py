"""The form of an answer's chunks: most differ from one another in their text only, and need no parsing."""

from functools import cache
from typing import Any

import orjson

PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))  # what stands for itself in a JSON string
_PROBE = "another"


class Form:
    """The bytes before and after the text of a payload, bare and as a server frames it: one event, one HTTP chunk."""

    __slots__ = ("_after", "_before", "_framed_after", "_framed_before")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        self._framed_before, self._framed_after = b"data: " + before, after + b"\n\n\r\n"

    def holds(self, payload: bytes) -> bool:
        """Whether the payload has this form, around a text that is not empty and needs no escapes."""
        begin, end = len(self._before), len(payload) - len(self._after)
        return (begin < end and payload.startswith(self._before) and payload.endswith(self._after)
                and not payload[begin:end].translate(None, PLAIN))

    def frames(self, data: bytes) -> bool:
        """The same of bytes off the wire: one whole HTTP chunk that holds one whole event and nothing else."""
        line = size_line(len(data))
        begin, end = len(line) + len(self._framed_before), len(data) - len(self._framed_after)
        return (begin < end and data.startswith(line) and data.startswith(self._framed_before, len(line))
                and data.endswith(self._framed_after) and not data[begin:end].translate(None, PLAIN))


@cache
def size_line(size_bytes: int) -> bytes:
    """The first line of an HTTP chunk that takes so many bytes in all, as nearly every server writes it."""
    for digits in range(1, 16):
        inner = size_bytes - digits - 4
        if inner >= 0 and len(line := b"%x\r\n" % inner) == digits + 2:
            return line
    return b"no such size"


def form_of(payload: bytes, value: dict[str, Any]) -> Form | None:
    """Of a parsed payload: its form, if another text in that place gives the same value but for the text."""
    key, holder = _text_of(value)
    if holder is None:
        return None
    text = holder[key]
    before, quoted, after = payload.partition(orjson.dumps(text))
    if not quoted:
        return None
    before, after = before + b'"', b'"' + after
    try:
        other = orjson.loads(before + _PROBE.encode() + after)
    except orjson.JSONDecodeError:
        return None
    _, changed = _text_of(other)
    if changed is None or changed[key] != _PROBE:
        return None
    changed[key] = text
    return Form(before, after) if other == value and b"\n" not in payload and b"\r" not in payload else None


def _text_of(value: Any) -> tuple[str, dict[str, Any] | None]:
    """(key, what holds it) of the generated text in a chunk."""
    choices = value.get("choices") if isinstance(value, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if isinstance(choice.get("text"), str):
        return "text", choice
    delta = choice.get("delta")
    return "content", delta if isinstance(delta, dict) and isinstance(delta.get("content"), str) else None
