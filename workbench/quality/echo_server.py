"""Log-likelihoods from an OpenAI-style server that really returns those of the prompt (`echo` with `logprobs`).

Many do not: they ignore `echo` and answer all the same, which elsewhere scored as chance (lm-eval issue 4158). So the
server is asked once before anything counts, and every answer must hold as many log-probabilities as tokens were sent.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.files import read_json
from workbench.models import tokenizer
from workbench.quality.asking import AskFailed, Generated, Likelihoods
from workbench.quality.extract import until
from workbench.quality.http import Http
from workbench.quality.items import Sampling
from workbench.quality.words import Cut, Words, begun, cut, windows

COMPLETIONS = "/v1/completions"
PROBE = "The quick brown fox"
MOST_STOPS = 4  # OpenAI's limit, which vLLM keeps; the text is cut at the others here
Step = tuple[float, bool]


class FileWords:
    """A `tokenizer.json`, with what lies beside it."""

    def __init__(self, path: Path | None) -> None:
        self._vocabulary = tokenizer.load(path)
        bare, begun_ids = self._vocabulary.encode("a"), self._vocabulary.encode("a", special=True)
        self.adds_prefix = begun_ids[:1] != bare[:1]
        assert path is not None
        self.prefix = begun_ids[0] if self.adds_prefix else self._named(path if path.is_dir() else path.parent)

    def encode(self, text: str) -> list[int]:
        return self._vocabulary.encode(text)

    def without_prefix(self, text: str) -> str:
        """For a server that puts begin-of-text before any text itself: what a chat template wrote would be a second."""
        return text.removeprefix(self._vocabulary.decode([self.prefix])) if self.adds_prefix else text

    def _named(self, folder: Path) -> int:
        """Where nothing is added: begin-of-text, else end-of-text, as the configuration names them."""
        file = folder / "tokenizer_config.json"
        config = read_json(file) if file.is_file() else {}
        for key in ("bos_token", "eos_token"):
            token = config.get(key)
            found = self._vocabulary.id_of(str(token.get("content") if isinstance(token, dict) else token))
            if found is not None:
                return found
        raise Failure(f"{file.name}: names neither bos_token nor eos_token: there is nothing that the first token of "
                      "a text could follow")


class EchoServer:
    """An Asker for vLLM and whatever else echoes. Prompts are sent as token ids, or as text where `ids` is false."""

    def __init__(self, http: Http, model: str, words: FileWords | None, room_tok: int | None, *, ids: bool = True,
                 extra: dict[str, Any] | None = None) -> None:
        self._http, self._model, self._words, self.room_tok, self._ids = http, model, words, room_tok, ids
        self._extra = extra or {}
        self._echoes: str | None = None  # why it does not, once it was asked; "" where it does

    @property
    def words(self) -> Words:
        if self._words is None:
            raise Failure(f"{self._http.url}: likelihoods need the model's tokenizer; name a tokenizer.json or the "
                          "folder that holds it with `tokenizer`")
        return self._words

    def check(self) -> None:
        """Raises Failure naming the remedy where the server returns no log-probabilities of a prompt."""
        if self._echoes is None:
            try:
                self._steps(Cut((self.words.prefix, *self.words.encode(PROBE)), 1))
                self._echoes = ""
            except AskFailed as error:
                self._echoes = str(error)
        if self._echoes:
            raise Failure(
                f"{self._http.url}: returns no log-probabilities of a prompt ({self._echoes}), which tasks of form "
                "choice and text need; remedy: serve the model by llama.cpp (an adapter here forces each token) or by "
                "vllm, or ask tasks of form generate and code only")

    def options(self, pairs: Sequence[tuple[str, str]]) -> Likelihoods:
        cuts = [cut(self.words, prompt, option, self.room_tok) for prompt, option in pairs]
        steps = [self._steps(one) for one in cuts]
        return Likelihoods(
            tuple(sum(value for value, _ in found) for found in steps),
            tuple(all(top for _, top in found) for found in steps),
            max(one.begin for one in cuts), sum(len(one.scored) for one in cuts), any(one.truncated for one in cuts),
        )

    def text(self, text: str) -> Likelihoods:
        cuts = list(windows(self.words, text, self.room_tok))
        steps = [step for one in cuts for step in self._steps(one)]
        return Likelihoods((sum(value for value, _ in steps),), (all(top for _, top in steps),), 1, len(steps), False)

    def generate(self, prompt: str, sampling: Sampling, seed: int | None) -> Generated:
        start = self._start(prompt, sampling.max_tok)
        answer = self._ask({
            "prompt": self._sent(prompt, start), "max_tokens": sampling.max_tok,
            "temperature": sampling.temperature, "top_p": sampling.top_p, "stop": list(sampling.stop[:MOST_STOPS]),
            **({} if seed is None else {"seed": seed}),
        })
        told = answer.get("usage")
        usage = told if isinstance(told, dict) else {}
        text = answer["choices"][0].get("text")
        if not isinstance(text, str):
            raise AskFailed(f"{COMPLETIONS}: the answer holds no text")
        return Generated(until(text, sampling.stop), usage.get("prompt_tokens") if start is None else len(start.ids),
                         usage.get("completion_tokens"), start is not None and start.truncated)

    def _start(self, prompt: str, most_tok: int) -> Cut | None:
        """The prompt in tokens, where the tokenizer is known. A server that takes texts alone is sent none that does
        not fit: what it would do with it is its own."""
        if self._words is None:
            return None
        start = begun(self._words, prompt, None if self.room_tok is None else max(self.room_tok - most_tok, 0))
        if start.truncated and not self._ids:
            raise AskFailed(f"prompt and answer of {most_tok} tokens do not fit a context of {self.room_tok}, and this "
                            "server takes no token ids by which to cut it; give a smaller max_tok, or another engine")
        return start

    def _sent(self, prompt: str, start: Cut | None) -> str | list[int]:
        if self._words is None or start is None:
            return prompt
        return list(start.ids) if self._ids else self._words.without_prefix(prompt)

    def _steps(self, one: Cut) -> list[Step]:
        """(log-probability, greedy) of every scored token."""
        answer = self._ask({"prompt": list(one.ids), "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1})
        found = answer["choices"][0].get("logprobs")
        values = found.get("token_logprobs") if isinstance(found, dict) else None
        if not isinstance(values, list):
            raise AskFailed(f"{COMPLETIONS}: no `token_logprobs`; `echo` is ignored there")
        if len(values) < len(one.ids):
            raise AskFailed(f"{COMPLETIONS}: {len(values)} log-probabilities for {len(one.ids)} tokens")
        tops = found.get("top_logprobs")
        steps = []
        for place in range(one.begin, len(one.ids)):
            value = values[place]
            if not isinstance(value, int | float) or not -math.inf < value <= 1e-3:
                raise AskFailed(f"{COMPLETIONS}: the log-probability of token {place} is {value!r}")
            top = tops[place] if isinstance(tops, list) and place < len(tops) else None
            best = max(top.values()) if isinstance(top, dict) and top else value
            steps.append((float(value), bool(value >= best)))
        return steps

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(COMPLETIONS, {"model": self._model, **self._extra, **body})
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise AskFailed(f"{COMPLETIONS}: the answer holds no choices")
        found: dict[str, Any] = answer
        return found
