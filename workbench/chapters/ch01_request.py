"""The first requests of chapter 1: the shipped model behind llama.cpp's server, each event of an answer as it came."""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from engines.launch import launch
from engines.lookup import find as engine
from engines.lookup import require
from workbench.bench.answer import DONE, carries_tokens
from workbench.bench.request import body
from workbench.bench.sse import SseParser
from workbench.bench.target import Target
from workbench.errors import Failure, UsageError
from workbench.flows.launched import target_of
from workbench.models.shipped import SHIPPED, find
from workbench.paths import datasets
from workbench.runlog.schema import Planned

MOST_TOK = 48
TIMEOUT_S = 20.0
LONGEST_QUESTION = 300  # characters


@dataclass(frozen=True)
class Event:
    """What one `data:` line held, and when it was here, from the send; `value` is None for [DONE]."""

    at_s: float
    value: dict[str, Any] | None

    @property
    def choice(self) -> dict[str, Any]:
        found: dict[str, Any] = ((self.value or {}).get("choices") or [{}])[0]
        return found

    @property
    def text(self) -> str:
        return str(self.choice.get("text") or (self.choice.get("delta") or {}).get("content") or "")

    @property
    def is_token(self) -> bool:
        return carries_tokens(self.choice)


@dataclass(frozen=True)
class Reply:
    question: str
    events: tuple[Event, ...]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)

    @property
    def tokens_s(self) -> tuple[float, ...]:
        return tuple(event.at_s for event in self.events if event.is_token)

    @property
    def ttft_s(self) -> float:
        return self.tokens_s[0]

    @property
    def tpot_s(self) -> float | None:
        """Per token after the first; None of an answer of one."""
        times = self.tokens_s
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None


@dataclass(frozen=True)
class First:
    """The first answer of a fresh server, a longer text twice, and other questions with what is right.
    No answers where the engine is not here, and why."""

    first: Reply | None
    longer: tuple[Reply, ...]
    others: tuple[tuple[Reply, str], ...]
    started_s: float = 0.0
    why: str = ""

    @property
    def right(self) -> int:
        return sum(reply.text.strip() == answer for reply, answer in self.others)


def first_request(question: str, repeats: int, quick: bool) -> First:
    """Starts the engine on the shipped model, asks, stops it. Raises UsageError."""
    if not question.strip() or len(question) > LONGEST_QUESTION:
        raise UsageError(f"question: give one of 1 to {LONGEST_QUESTION} characters")
    n = 5 if quick else repeats
    try:
        require(engine("llama.cpp"))
        model = find(SHIPPED)
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder, \
                launch("llama.cpp", model, {"slots": 1, "threads": 1}, log_dir=Path(folder)) as running:
            # an answer ends by itself here: no token is forbidden, and the prompt cache is as the server has it
            target = replace(target_of(running, model, TIMEOUT_S), api="chat", ignore_eos=False, extra_body={})
            first, plain = _ask(target, question), replace(target, api="completions")
            longer = tuple(_ask(plain, _function()) for _ in range(2))
            others = tuple((_ask(target, asked), answer) for asked, answer in islice(_known(), n))
            return First(first, longer, others, running.started_s or 0.0)
    except Failure as missing:
        return First(None, (), (), why=str(missing))


def _known() -> Iterator[tuple[str, str]]:
    """Questions of the invented world with their answers."""
    return ((row["question"], row["answer"]) for row in _rows("question"))


def _function() -> str:
    """The beginning of a small function, which the model writes to its end."""
    return str(next(_rows("code"))["prompt"])


def _rows(task: str) -> Iterator[dict[str, Any]]:
    with (datasets() / "tiny_world" / f"{task}.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _ask(target: Target, question: str) -> Reply:
    """One connection a request, as a first script would do it. Raises Failure."""
    events: list[Event] = []
    parser, content = SseParser(), body(target, Planned("first", None, 0, MOST_TOK), question)
    headers = {"Authorization": f"Bearer {target.api_key}", "Content-Type": "application/json"}
    # without TLS its certificates need not be loaded, which would be the slowest part
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=False) as client:
        begun = time.perf_counter()
        try:
            with client.stream("POST", target.url + target.endpoint.path, content=content, headers=headers) as answer:
                for data in answer.iter_raw():
                    now = time.perf_counter() - begun
                    events += [Event(now, None if item == DONE else json.loads(item)) for item in parser.feed(data)]
        except httpx.HTTPError as error:
            raise Failure(f"llama.cpp did not answer: {type(error).__name__}") from error
    reply = Reply(question, tuple(events))
    if not reply.tokens_s:
        raise Failure(f"llama.cpp answered nothing (HTTP {answer.status_code})")
    return reply
