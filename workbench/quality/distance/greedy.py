"""Greedy answers as token ids, and whether two ways of computing them agree: speculation, a smaller KV cache."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import Failure
from workbench.quality.http import Http
from workbench.stats.intervals import Interval, wilson

NEAR_TIE_NATS = 0.05  # below it another order of the same sums may turn a choice


@dataclass(frozen=True, slots=True)
class Answer:
    """`margins` [len(tokens)] in nats: how far each token was ahead of the next likeliest; empty where not asked."""

    tokens: tuple[int, ...]
    margins: tuple[float, ...] = ()
    drafted_tok: int = 0
    accepted_tok: int = 0


def of_llama_cpp(http: Http, prompt: Sequence[int], most_tok: int, *, margins: bool) -> Answer:
    """llama.cpp counts what it guessed in each answer's timings."""
    body = {"prompt": list(prompt), "n_predict": most_tok, "temperature": 0, "return_tokens": True,
            "cache_prompt": False, "n_probs": 2 if margins else 0}
    told = http.post("/completion", body)
    try:
        best = [entry["top_logprobs"] for entry in told["completion_probabilities"]] if margins else []
        found = tuple(one["logprob"] - other["logprob"] for one, other in best)
        times = told["timings"]
        return Answer(tuple(told["tokens"]), found, times.get("draft_n", 0), times.get("draft_n_accepted", 0))
    except (KeyError, TypeError, ValueError):
        raise Failure("/completion: the answer holds no tokens; is it a llama.cpp server?") from None


def of_vllm(http: Http, model: str, prompt: Sequence[int], most_tok: int, *, margins: bool) -> Answer:
    """vLLM counts what it guessed in its metrics alone."""
    body = {"model": model, "prompt": list(prompt), "max_tokens": most_tok, "temperature": 0,
            "return_token_ids": True} | ({"logprobs": 2} if margins else {})
    told = http.post("/v1/completions", body)
    try:
        choice = told["choices"][0]
        best = [sorted(entry.values(), reverse=True) for entry in choice["logprobs"]["top_logprobs"]] if margins else []
        return Answer(tuple(choice["token_ids"]), tuple(values[0] - values[1] for values in best))
    except (KeyError, IndexError, TypeError):
        raise Failure("/v1/completions: the answer holds no token ids; the endpoint must know `return_token_ids`"
                      ) from None


@dataclass(frozen=True, slots=True)
class Turn:
    """Where one answer left the other. `margin_nats` is the base's at that token; None: one answer ended there."""

    prompt: int
    at_tok: int
    margin_nats: float | None

    @property
    def near_tie(self) -> bool:
        return self.margin_nats is not None and self.margin_nats < NEAR_TIE_NATS


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over `n` prompts, `tok` tokens of the base's answers. `turns` are the prompts whose answers differ."""

    n: int
    tok: int
    turns: tuple[Turn, ...]
    drafted_tok: int
    accepted_tok: int

    @property
    def same(self) -> Interval:
        return wilson(self.n - len(self.turns), self.n)

    @property
    def decided(self) -> int:
        """Answers that differ where the base was not near a tie: what speculation must never do."""
        return sum(not turn.near_tie for turn in self.turns)

    @property
    def acceptance_frac(self) -> float | None:
        """Tokens accepted of those guessed; None where nothing was guessed."""
        return self.accepted_tok / self.drafted_tok if self.drafted_tok else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"same": asdict(self.same), "decided": self.decided,
                               "acceptance_frac": self.acceptance_frac}


def agreement(base: Sequence[Answer], found: Sequence[Answer]) -> Agreement:
    """Of answers to the same prompts in the same order; `base` with margins."""
    turns = []
    for number, (one, other) in enumerate(zip(base, found, strict=True)):
        if one.tokens != other.tokens:
            at = _first_difference(one.tokens, other.tokens)
            turns.append(Turn(number, at, one.margins[at] if at < len(one.margins) else None))
    return Agreement(len(base), sum(len(one.tokens) for one in base), tuple(turns),
                     sum(one.drafted_tok for one in found), sum(one.accepted_tok for one in found))


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
