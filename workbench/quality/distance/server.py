"""Distributions from a llama.cpp server: one request a token, `n_probs` as large as the vocabulary.

Exact, and slow (20 ms a token for 1,024 tokens of vocabulary): for a server that is not ours, or where the library
cannot be asked. Each prompt is the one before and a token more, so the slot's cache does the rest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import Failure
from workbench.quality.distance.expected import KEPT_TOK, MOST_WHOLE, Expected
from workbench.quality.distance.text import Text
from workbench.quality.http import Http


def expected(http: Http, text: Text, vocabulary: int, on_document: Callable[[int], None] | None = None) -> Expected:
    """Whole up to MOST_WHOLE tokens of vocabulary, else the likeliest KEPT_TOK and the token that came."""
    whole = vocabulary <= MOST_WHOLE
    asked = vocabulary if whole else KEPT_TOK
    ids = np.zeros((len(text.target), asked), dtype=np.int64)
    logprob = np.full(ids.shape, -np.inf, dtype=np.float32)
    target, at = np.zeros(len(text.target), dtype=np.float32), 0
    for number, row in enumerate(text.rows):
        for k in range(1, len(row)):
            ids[at], logprob[at] = _next(http, list(row[:k]), asked)
            hit = np.flatnonzero(ids[at] == row[k])
            target[at] = logprob[at, hit[0]] if len(hit) else forced(http, list(row[:k]), row[k])
            at += 1
        if on_document is not None:
            on_document(number + 1)
    if not whole:
        return Expected(logprob, target, ids)
    order = np.argsort(ids, 1)
    if not (np.take_along_axis(ids, order, 1) == np.arange(vocabulary)).all():
        raise Failure(f"the server's distribution is not over the tokens 0 to {vocabulary - 1}; is its model this one?")
    return Expected(np.take_along_axis(logprob, order, 1), target)


def _next(http: Http, prompt: list[int], asked: int) -> tuple[list[int], list[float]]:
    body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": asked, "cache_prompt": True}
    told = _first(http.post("/completion", body))["top_logprobs"]
    if len(told) != asked:
        raise Failure(f"/completion: {len(told)} log-probabilities instead of {asked}; use llama.cpp's library "
                      "(leave --via out), or a server that returns them")
    return [entry["id"] for entry in told], [entry["logprob"] for entry in told]


def forced(http: Http, prompt: list[int], token: int) -> float:
    """Raw log-probability of one token after a prompt: it is made certain, and its own figure read."""
    body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 1, "cache_prompt": True,
            "logit_bias": [[token, 1000.0]]}
    found = _first(http.post("/completion", body))
    if found["id"] != token:
        raise Failure(f"/completion: token {token} was forced and {found['id']} came")
    return float(found["logprob"])


def _first(answer: Any) -> Any:
    try:
        return answer["completion_probabilities"][0]
    except (KeyError, IndexError, TypeError):
        raise Failure("/completion: the answer holds no log-probabilities; is it a llama.cpp server?") from None
