"""What a stream of events says about one answer: when tokens came, how many, and how it ended."""

from array import array
from itertools import pairwise
from typing import Any

import orjson

from workbench.bench.form import Form, form_of

DONE = b"[DONE]"
# Everything in a chat delta that is generated text; the role is not. Vendors name reasoning differently.
_TEXT = ("content", "reasoning_content", "reasoning", "tool_calls", "function_call", "refusal")
_MOST_TOK = 1 << 31
UNKNOWN = -1


class BadEvent(ValueError):
    """An event that is not a chunk of an answer; its text is the one-line reason."""


class Answer:
    """Collects the events of one streamed answer. Times are whatever clock the caller passes."""

    __slots__ = ("_counts", "_totals", "at_ns", "cached_tok", "done", "finished", "form", "prompt_tok", "usage_tok")

    def __init__(self) -> None:
        self.at_ns = array("q")  # arrival of each chunk that carried tokens
        self._counts = array("q")  # tokens in that chunk by its own list of tokens, or UNKNOWN
        self._totals = array("q")  # tokens generated so far as that chunk says, or UNKNOWN
        # of a chunk that told no numbers; both arrays are behind by the chunks that had it, until `_caught_up`
        self.form: Form | None = None
        self.prompt_tok: int | None = None
        self.cached_tok: int | None = None
        self.usage_tok: int | None = None
        self.finished = False  # a finish_reason was seen
        self.done = False  # [DONE] was seen

    @property
    def complete(self) -> bool:
        return self.done or self.finished

    def event(self, payload: bytes, now_ns: int) -> None:
        """Take one payload; raises BadEvent."""
        if self.form is not None and self.form.holds(payload):
            self.at_ns.append(now_ns)
            return
        if payload == DONE:
            self.done = True
            return
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise BadEvent(f"an event is not JSON: {_cut(payload)}") from error
        if not isinstance(value, dict):
            raise BadEvent(f"an event is not an object: {_cut(payload)}")
        if value.get("error"):
            raise BadEvent(f"the server reported: {error_text(value)}")
        usage = value.get("usage")
        if isinstance(usage, dict):
            self._usage(usage)
        choices = value.get("choices")
        if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
            return
        choice = choices[0]
        if choice.get("finish_reason"):
            self.finished = True
        if carries_tokens(choice):
            self._caught_up()
            self.at_ns.append(now_ns)
            tells = choice.get("logprobs") or choice.get("token_ids")  # most servers do not
            sums = usage or "timings" in value
            self._counts.append(_listed(choice) if tells else UNKNOWN)
            self._totals.append(_so_far(value) if sums else UNKNOWN)
            if self.form is None and not (tells or sums or self.finished):
                self.form = form_of(payload, value)

    def _caught_up(self) -> None:
        behind = len(self.at_ns) - len(self._counts)
        if behind:
            self._counts.extend((UNKNOWN,) * behind)
            self._totals.extend((UNKNOWN,) * behind)

    def _usage(self, usage: dict[str, Any]) -> None:
        prompt, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        self.prompt_tok = self.prompt_tok if prompt is None else prompt
        self.usage_tok = self.usage_tok if output is None else output
        details = usage.get("prompt_tokens_details")
        cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
        self.cached_tok = self.cached_tok if cached is None else cached

    @property
    def output_tok(self) -> int | None:
        """The server's usage, else the sum of what the chunks listed, else not known."""
        if self.usage_tok is not None:
            return self.usage_tok
        sizes = self.chunk_tok()
        return sum(sizes) if sizes else None

    def chunk_tok(self) -> tuple[int, ...] | None:
        """Tokens of each chunk, only where the server's own numbers settle it."""
        n, usage = len(self.at_ns), self.usage_tok
        if not n:
            return None
        if len(self._counts) == n:  # else some told nothing
            steps = () if UNKNOWN in self._totals else tuple(b - a for a, b in pairwise((0, *self._totals)))
            for sizes in (steps, tuple(self._counts)):
                # usage may count one more: an end-of-text token, which no chunk shows
                if sizes and min(sizes) >= 1 and (usage is None or sum(sizes) <= usage):
                    return sizes
        if usage == n:
            return (1,) * n
        return (usage,) if n == 1 and usage else None


def carries_tokens(choice: dict[str, Any]) -> bool:
    """Whether a chunk holds anything generated: a role, an empty text or a finish reason is not."""
    if choice.get("text") or choice.get("token_ids"):
        return True
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(delta.get(key) for key in _TEXT)


def _listed(choice: dict[str, Any]) -> int:
    """How many tokens the chunk itself lists (token ids or log-probabilities)."""
    logprobs = choice.get("logprobs")
    inner = logprobs if isinstance(logprobs, dict) else {}
    for found in (choice.get("token_ids"), inner.get("content"), inner.get("tokens")):
        if isinstance(found, list) and found:
            return len(found)
    return UNKNOWN


def _so_far(value: dict[str, Any]) -> int:
    """Tokens generated up to this chunk: vLLM's continuous usage, llama.cpp's timings per token."""
    for table, key in (("usage", "completion_tokens"), ("timings", "predicted_n")):
        inner = value.get(table)
        found = _count(inner.get(key)) if isinstance(inner, dict) else None
        if found is not None:
            return found
    return UNKNOWN


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _MOST_TOK else None


def error_text(value: Any) -> str:
    """The message inside the usual shapes of an error answer."""
    inner = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(inner, dict):
        inner = inner.get("message") or inner.get("detail") or inner
    return inner if isinstance(inner, str) else _cut(orjson.dumps(inner))


def _cut(payload: bytes, most: int = 120) -> str:
    return payload[:most].decode("utf-8", "replace")
