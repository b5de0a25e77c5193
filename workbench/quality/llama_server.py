"""Exact log-likelihoods from llama.cpp's server, which gives none of the prompt.

It ignores `echo` (llama.cpp issue 27174): what is asked for instead is one token, forced by a logit bias that nothing
outweighs; the log-probability that comes with it is the one before the bias. The slot keeps the prompt, so each further
token costs one step. Where several tokens may follow the same prompt (the letters A to D, the first tokens of options),
one answer with the most likely tokens holds most of them. Token ids are sent, never text.
"""

import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from workbench.errors import Failure
from workbench.quality.asking import AskFailed, Generated, Likelihoods
from workbench.quality.http import Http
from workbench.quality.items import Sampling
from workbench.quality.words import Cut, Words, begun, cut, windows

FORCE = 1000.0  # above any difference of logits
TOGETHER = 64  # tokens asked for at once where several may follow
SLOT = 0  # one slot: what it keeps of the last prompt is ours


class LlamaWords:
    """The tokenizer inside the GGUF file, asked over HTTP; the one that is deployed."""

    def __init__(self, http: Http) -> None:
        self._http, self._known = http, dict[str, list[int]]()
        bare, begun = self._ask("a", special=False), self._ask("a", special=True)
        self.adds_prefix = len(begun) > len(bare)
        self.prefix = begun[0] if self.adds_prefix else self._end_of_text()

    def encode(self, text: str) -> list[int]:
        if text not in self._known:
            if len(self._known) > 512:
                self._known.clear()
            self._known[text] = self._ask(text, special=False)
        return self._known[text]

    def _ask(self, text: str, *, special: bool) -> list[int]:
        answer = self._http.post("/tokenize", {"content": text, "add_special": special, "parse_special": True})
        try:
            return [int(token) for token in answer["tokens"]]
        except (KeyError, TypeError, ValueError):
            raise AskFailed("/tokenize: not an answer of llama.cpp's server") from None

    def _end_of_text(self) -> int:
        props = self._http.get("/props")
        token = props.get("eos_token") if isinstance(props, dict) else None
        ids = self._ask(token, special=False) if token else []
        if len(ids) != 1:
            raise Failure("the model has neither a begin-of-text nor an end-of-text token: there is nothing that the "
                          "first token of a text could follow")
        return ids[0]


class LlamaServer:
    """An Asker. `room_tok` is the context of a slot."""

    def __init__(self, http: Http, room_tok: int | None) -> None:
        self._http, self.room_tok = http, room_tok
        self.words: Words = LlamaWords(http)

    def options(self, pairs: Sequence[tuple[str, str]]) -> Likelihoods:
        cuts = [cut(self.words, prompt, option, self.room_tok) for prompt, option in pairs]
        steps = self._steps(cuts)
        return Likelihoods(
            tuple(sum(steps[step][0] for step in _path(one)) for one in cuts),
            tuple(all(steps[step][1] for step in _path(one)) for one in cuts),
            max(one.begin for one in cuts), sum(len(one.scored) for one in cuts), any(one.truncated for one in cuts),
        )

    def text(self, text: str) -> Likelihoods:
        cuts = list(windows(self.words, text, self.room_tok))
        steps = [self._steps([one]) for one in cuts]
        total = sum(value for found in steps for value, _ in found.values())
        greedy = all(top for found in steps for _, top in found.values())
        return Likelihoods((total,), (greedy,), 1, sum(len(one.scored) for one in cuts), False)

    def generate(self, prompt: str, sampling: Sampling, seed: int | None) -> Generated:
        room_tok = None if self.room_tok is None else max(self.room_tok - sampling.max_tok, 0)
        start = begun(self.words, prompt, room_tok)
        answer = self._http.post("/completion", {
            "prompt": list(start.ids), "n_predict": sampling.max_tok, "temperature": sampling.temperature,
            "top_p": sampling.top_p, "top_k": 0, "min_p": 0, "stop": list(sampling.stop), "cache_prompt": True,
            "id_slot": SLOT, **({} if seed is None else {"seed": seed}),
        })
        try:
            text, output_tok = str(answer["content"]), int(answer["tokens_predicted"])
        except (KeyError, TypeError, ValueError):
            raise AskFailed("/completion: not an answer of llama.cpp's server") from None
        return Generated(text, len(start.ids), output_tok, start.truncated)

    def _steps(self, cuts: Sequence[Cut]) -> dict[tuple[int, ...], tuple[float, bool]]:
        """(log-probability, greedy) of the last token of every beginning that the cuts need, each asked once."""
        wanted: dict[tuple[int, ...], list[int]] = {}
        for one in cuts:
            for step in _path(one):
                after = wanted.setdefault(step[:-1], [])
                if step[-1] not in after:
                    after.append(step[-1])
        found = {}
        for before in sorted(wanted, key=lambda ids: (ids[:1], ids)):  # neighbours share what the slot keeps
            for token, value in self._after(before, wanted[before]).items():
                found[(*before, token)] = value
        return found

    def _after(self, before: tuple[int, ...], tokens: Sequence[int]) -> dict[int, tuple[float, bool]]:
        found: dict[int, tuple[float, bool]] = {}
        if len(tokens) > 1:
            top = self._ask(before, None, TOGETHER)["top_logprobs"]
            found = {entry["id"]: (float(entry["logprob"]), entry is top[0]) for entry in top if entry["id"] in tokens}
        for token in tokens:
            if token not in found:
                answer = self._ask(before, token, 1)
                found[token] = float(answer["logprob"]), answer["top_logprobs"][0]["id"] == token
        return found

    def _ask(self, before: Iterable[int], forced: int | None, n_probs: int) -> Any:
        answer = self._http.post("/completion", {
            "prompt": list(before), "n_predict": 1, "temperature": 0, "n_probs": n_probs, "cache_prompt": True,
            "id_slot": SLOT, **({} if forced is None else {"logit_bias": [[forced, FORCE]]}),
        })
        with contextlib.suppress(KeyError, TypeError, IndexError, ValueError):
            entry = answer["completion_probabilities"][0]
            tops = entry["top_logprobs"]
            if tops and (forced is None or entry["id"] == forced) and all(
                    -math.inf < float(one["logprob"]) <= 1e-3 and isinstance(one["id"], int) for one in (entry, *tops)):
                return entry
        raise AskFailed("/completion: the answer holds no log-probability of the token that was asked for")


def _path(one: Cut) -> list[tuple[int, ...]]:
    """Every beginning that ends with a scored token."""
    return [one.ids[:end + 1] for end in range(one.begin, len(one.ids))]
