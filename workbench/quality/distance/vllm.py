"""Distributions from a server that returns prompt log-probabilities (vLLM): a request a document."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from workbench.errors import Failure
from workbench.quality.distance.expected import KEPT_TOK, MOST_WHOLE, Expected, joined
from workbench.quality.distance.text import Text
from workbench.quality.http import Http

REMEDY = "the endpoint must return `prompt_logprobs`: vLLM does, started with max_logprobs as large as asked here"


def expected(
    http: Http, model: str, text: Text, vocabulary: int, on_document: Callable[[int], None] | None = None,
) -> Expected:
    """vLLM gives of every prompt token the likeliest `prompt_logprobs` ones, and the token that came beside them."""
    asked = vocabulary if vocabulary <= MOST_WHOLE else KEPT_TOK
    parts = []
    for number, row in enumerate(text.rows):
        body = {"model": model, "prompt": list(row), "max_tokens": 1, "temperature": 0, "prompt_logprobs": asked}
        parts.append(_document(_told(http.post("/v1/completions", body), len(row)), row, asked, vocabulary))
        if on_document is not None:
            on_document(number + 1)
    return joined(parts)


def _told(answer: Any, length: int) -> list[Mapping[str, Any]]:
    try:
        told = answer["choices"][0]["prompt_logprobs"][1:]
    except (KeyError, IndexError, TypeError):
        raise Failure(f"/v1/completions: no log-probabilities of the prompt; {REMEDY}") from None
    if len(told) != length - 1 or not all(told):
        raise Failure(f"/v1/completions: log-probabilities of {len(told)} tokens instead of {length - 1}; {REMEDY}")
    return list(told)


def _document(told: list[Mapping[str, Any]], row: tuple[int, ...], asked: int, vocabulary: int) -> Expected:
    ids = np.zeros((len(told), asked), dtype=np.int64)
    logprob = np.full(ids.shape, -np.inf, dtype=np.float32)
    target = np.zeros(len(told), dtype=np.float32)
    for at, entry in enumerate(told):
        by_id = {int(token): float(value["logprob"]) for token, value in entry.items()}
        if len(by_id) < asked or row[at + 1] not in by_id:
            raise Failure(f"/v1/completions: {len(by_id)} log-probabilities of a token instead of {asked}; {REMEDY}")
        target[at] = by_id[row[at + 1]]
        best = sorted(by_id, key=by_id.__getitem__, reverse=True)[:asked]
        ids[at], logprob[at] = best, [by_id[token] for token in best]
    if asked < vocabulary:
        return Expected(logprob, target, ids)
    return Expected(np.take_along_axis(logprob, np.argsort(ids, 1), 1), target)
