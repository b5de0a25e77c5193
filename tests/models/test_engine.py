"""The real llama.cpp reads our files and computes what plain numpy computes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from workbench.models import find, tasks, tokenizer
from workbench.models.folder import ModelFolder, open_folder
from workbench.models.formats import round_trip
from workbench.models.forward import Llama, log_softmax
from workbench.models.shipped import shipped_folder
from workbench.models.tokenizer import Vocabulary
from workbench.models.world import World

# its own process, which ends when its standard input does
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port, params.n_parallel, params.n_ctx = sys.argv[1], 0, 1, 1024
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.verbosity, params.n_threads_http = 0, 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Engine:
    http: httpx.Client

    def forced(self, ids: list[int], token: int) -> tuple[float, int]:
        """(raw log-probability of `token` after `ids`, the likeliest token there)."""
        answer = self.post("/completion", {
            "prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": 1, "logit_bias": [[token, 1000.0]],
        })["completion_probabilities"][0]
        assert answer["id"] == token
        return float(answer["logprob"]), int(answer["top_logprobs"][0]["id"])

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()


@contextmanager
def engine(model: str, quant: str) -> Iterator[Engine]:
    command = [sys.executable, "-c", SERVER, str(find(model, quant).path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with httpx.Client(base_url=child.stdout.readline().strip(), timeout=60) as http:
                yield Engine(http)
        finally:
            child.stdin.close()


@pytest.fixture(scope="module")
def tiny() -> ModelFolder:
    return open_folder(shipped_folder())


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return tokenizer.load(shipped_folder())


@pytest.fixture(scope="module")
def rows(words: Vocabulary) -> list[list[int]]:
    return [[0, *words.encode(text)][:40] for text in tasks.held_out_text(World(), 6)]


@pytest.fixture(scope="module")
def f16() -> Iterator[Engine]:
    with engine("tiny", "F16") as running:
        yield running


def compare(running: Engine, reference: Llama, rows: list[list[int]]) -> tuple[float, int]:
    """(largest difference in nats, greedy tokens that differ by more than a near tie) at every third place."""
    worst, flips = 0.0, 0
    for row in rows:
        expected = log_softmax(reference.logits(np.array([row])))[0]
        for place in range(0, len(row) - 1, 3):
            logprob, likeliest = running.forced(row[:place + 1], row[place + 1])
            worst = max(worst, abs(logprob - float(expected[place, row[place + 1]])))
            flips += bool(expected[place].max() - expected[place, likeliest] > 0.05)
    return worst, flips


def test_f16_equals_numpy(f16: Engine, tiny: ModelFolder, rows: list[list[int]]) -> None:
    worst, flips = compare(f16, Llama(tiny.arch, tiny.tensors), rows)
    assert worst < 0.05
    assert flips == 0


def test_grown_q4_equals_numpy_on_the_ungrown(tiny: ModelFolder, rows: list[list[int]]) -> None:
    """One test of growing, packing and reading. llama.cpp also packs activations, hence the wider band."""
    reference = Llama(tiny.arch, tiny.tensors, lambda values: round_trip(values, "Q4_0"))
    with engine("tiny-5m", "Q4_0") as grown, engine("tiny", "Q4_0") as small:
        worst, flips = compare(grown, reference, rows[:3])
        assert worst < 0.3
        assert flips == 0
        for row in rows[:3]:
            assert grown.forced(row[:-1], row[-1]) == small.forced(row[:-1], row[-1])


def test_tokens_are_the_same(f16: Engine, words: Vocabulary) -> None:
    for text in [*tasks.held_out_text(World(), 40), 'x = "a"\n\n\n    y\t1234 naïve', "  two  spaces "]:
        found = f16.post("/tokenize", {"content": text, "add_special": True})["tokens"]
        assert found == words.encode(text, special=True)


def test_chat_answers_and_stops(f16: Engine, words: Vocabulary) -> None:
    right = 0
    for question in tasks.questions(World())[::32]:
        answer = f16.post("/v1/chat/completions", {
            "messages": [{"role": "user", "content": question.question}], "max_tokens": 16, "temperature": 0,
        })
        right += answer["choices"][0]["message"]["content"].strip() == question.answer
        assert answer["choices"][0]["finish_reason"] == "stop"
    shown = f"<|im_start|>user\n{question.question}<|im_end|>\n<|im_start|>assistant\n"
    assert answer["usage"]["prompt_tokens"] == len(words.encode(shown, special=True))
    assert right >= 9


def test_long_prompts_and_answers_stay_text(f16: Engine, words: Vocabulary) -> None:
    """Beyond the 256 tokens it was trained on the model still writes whole characters, so streams do not stall."""
    ids = words.prompt_ids(600, np.random.default_rng(0))
    answer = f16.post("/completion", {"prompt": ids, "n_predict": 120, "temperature": 1, "seed": 1, "ignore_eos": True})
    assert answer["tokens_predicted"] == 120
    assert answer["content"].isascii()
