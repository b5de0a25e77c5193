"""What the library's static batches cannot do, by a generator of its own: log-probabilities, and sampling with a seed.

(A seed for one request "requires an Engine configured for dynamic batching", and that wants a GPU export.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from engines.hosted.echo import Scored

SEEDS = 1 << 31  # the library takes what fits 31 bits; larger seeds are folded


@dataclass
class Score:
    """A prompt whose log-probabilities are asked for."""

    prompt: list[int]
    on_scored: Callable[[Scored | None, str], None]  # (log-probabilities or None, why there are none or "")
    cancelled: bool = False
    alone: bool = True


def score(og: Any, model: Any, prompt: list[int]) -> Scored:
    """In one pass; the logits that the export gives are those of every place."""
    import numpy as np

    generator = _generator(og, model, len(prompt) + 1, do_sample=False)
    generator.append_tokens(np.array(prompt, dtype=np.int32))
    logits = np.asarray(generator.get_output("logits"))
    if logits.shape[:2] != (1, len(prompt)):
        raise RuntimeError(f"the export gives logits of shape {logits.shape} for {len(prompt)} tokens: of its last "
                           "token only; export the model without pruning its head")
    own, greedy = [], []
    for place, row in enumerate(logits[0]):
        row64 = row.astype(np.float64)
        top = row64.max()
        spread = np.log(np.exp(row64 - top).sum())
        greedy.append(-float(spread))
        if place + 1 < len(prompt):
            own.append(float(row64[prompt[place + 1]] - top - spread))
    return own, greedy


def sampled(
    og: Any, model: Any, prompt: list[int], most_tok: int, *, temperature: float, top_p: float, seed: int,
    vocabulary: int, ends: frozenset[int], ignore_eos: bool,
) -> Iterator[int]:
    """Tokens as they come, without the one that ends the text (as the engine's batches tell them).

    All tokens are named by `top_k`: without it the library draws from beyond top_p (of 4,000 draws at 0.5, 1,685).
    """
    import numpy as np

    whole = len(prompt) + most_tok
    generator = _generator(
        og, model, whole, do_sample=True, temperature=temperature, top_p=top_p, top_k=vocabulary,
        random_seed=seed % SEEDS, min_length=whole if ignore_eos else 0,
    )
    generator.append_tokens(np.array(prompt, dtype=np.int32))
    while not generator.is_done():
        generator.generate_next_token()
        token = int(generator.get_next_tokens()[0])
        if token in ends and not ignore_eos:
            return
        yield token


def _generator(og: Any, model: Any, length_tok: int, **search: Any) -> Any:
    given = og.GeneratorParams(model)
    given.set_search_options(max_length=length_tok, **search)
    return og.Generator(model, given)
