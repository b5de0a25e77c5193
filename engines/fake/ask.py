"""What a client asks for, taken from an OpenAI-style body, and what the fake engine says to it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Api = Literal["completions", "chat"]
WORDS = (
    "a and as at be but by can day do down each for from go good had has have he her him his how if in is it "
    "its just know like look made make man many may more most my new no not now of on one or other our out "
    "over so some than that the then they"
).split()
MESSAGE_TOK = 4  # what a chat template adds to each message
_TOKEN = re.compile(r"\w+|[^\w\s]")


class BadRequest(Exception):
    """The client's mistake, as one sentence."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, understood."""

    api: Api
    prompt_tok: int
    output_tok: int
    stops: bool  # it ends by itself before max_tokens
    stream: bool
    include_usage: bool
    arrival_ns: int | None
    seed: int  # of the answer's text; the same prompt gives the same text

    def token(self, index: int) -> str:
        """Text of the index-th token: one word, decided by the prompt alone."""
        mixed = (self.seed + index) * 0x9E3779B97F4A7C15 & (2**64 - 1)  # Fibonacci hashing
        return " " + WORDS[(mixed >> 32) % len(WORDS)]


def understand(api: Api, body: Any) -> Ask:
    """Raises BadRequest."""
    if not isinstance(body, Mapping):
        raise BadRequest("the body must be a JSON object")
    prompt_tok, digest = _chat(body) if api == "chat" else _prompt(body.get("prompt"))
    if prompt_tok < 1:
        raise BadRequest("the prompt is empty")
    most = _whole(body, "max_tokens", least=1)
    if most is None:
        most = _whole(body, "max_completion_tokens", least=1)
    seed = int.from_bytes(digest[:8], "big")
    natural = 16 + seed % 113  # where it would end by itself
    ignore_eos = bool(body.get("ignore_eos"))
    output_tok = natural if most is None else most if ignore_eos else min(most, natural)
    usage = body.get("stream_options")
    return Ask(
        api, prompt_tok, output_tok, stops=most is None or output_tok < most, stream=bool(body.get("stream")),
        include_usage=isinstance(usage, Mapping) and bool(usage.get("include_usage")),
        arrival_ns=_whole(body, "arrival_ns", least=0), seed=seed,
    )


def _whole(body: Mapping[str, Any], key: str, least: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadRequest(f"{key}: must be a whole number of at least {least}")
    return value


def _prompt(prompt: Any) -> tuple[int, bytes]:
    """(tokens, digest) of a text (words and marks count) or a list of token ids."""
    if isinstance(prompt, str):
        return len(_TOKEN.findall(prompt)), hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
    if isinstance(prompt, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in prompt):
        return len(prompt), hashlib.sha256(",".join(map(str, prompt)).encode()).digest()
    raise BadRequest("prompt: must be a text or a list of token ids")


def _chat(body: Mapping[str, Any]) -> tuple[int, bytes]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: must be a list with at least one message")
    texts = [message.get("content") if isinstance(message, Mapping) else None for message in messages]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest("messages: each needs a text as content")
    tok, digest = _prompt("\n".join(map(str, texts)))
    return tok + MESSAGE_TOK * len(messages), digest
