"""Log-likelihoods: exact through llama.cpp's server, refused where a server gives none, never guessed."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from answering import answering

from engines import Running, launch
from workbench.errors import Failure
from workbench.models import find
from workbench.models.folder import open_folder
from workbench.models.forward import Llama, continuation_logprobs, log_softmax
from workbench.models.shipped import shipped_folder
from workbench.quality.asking import AskFailed, EngineLost
from workbench.quality.echo_server import EchoServer, FileWords
from workbench.quality.http import Http
from workbench.quality.items import Sampling
from workbench.quality.llama_server import LlamaServer
from workbench.quality.task_spec import find_task
from workbench.quality.tasks import Lines

WORDS = FileWords(shipped_folder() / "tokenizer.json")
SENT = [0, *WORDS.encode("The quick brown fox")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        model = find("tiny", "F32")
        options = {"slots": 1, "prefix_caching": True, "kv_type": "f32", "ctx_per_slot_tok": 512}
        with launch("llama.cpp", model, options, log_dir=tmp_path_factory.mktemp("logs")) as found:
            yield found


@pytest.fixture
def llama(running: Running) -> Iterator[LlamaServer]:
    with Http(running.url, running.api_key, 60) as http:
        yield LlamaServer(http, 512)


@pytest.fixture(scope="module")
def by_hand() -> Llama:
    folder = open_folder(shipped_folder())
    return Llama(folder.arch, folder.tensors)


def test_options_have_the_likelihoods_that_the_weights_give(llama: LlamaServer, by_hand: Llama) -> None:
    for item in Lines(find_task("tiny_cloze").model_copy(update={"limit": 2})).items():
        found = llama.options(item.pairs)
        pairs = [([0, *WORDS.encode(prompt)], WORDS.encode(option)) for prompt, option in item.pairs]
        assert found.loglik == pytest.approx(continuation_logprobs(by_hand, pairs), abs=2e-3)
        assert sum(found.greedy) <= 1
        assert (found.prompt_tok, found.scored_tok) == (len(pairs[0][0]), sum(len(tail) for _, tail in pairs))


def test_a_text_has_the_likelihood_that_the_weights_give(llama: LlamaServer, by_hand: Llama) -> None:
    text = "The river of Klidaton is the Povaene.\n"
    ids = [0, *WORDS.encode(text)]
    logits = log_softmax(by_hand.logits([ids]))[0]
    exact = sum(float(logits[place - 1, ids[place]]) for place in range(1, len(ids)))
    found = llama.text(text)
    assert found.loglik[0] == pytest.approx(exact, abs=2e-3)
    assert found.scored_tok == len(ids) - 1


def test_a_token_that_nobody_would_say_is_forced_too(llama: LlamaServer, by_hand: Llama) -> None:
    """Two options that share no first token among the likeliest 64: both come by force."""
    pairs = [("The river of Klidaton is the", "\x01"), ("The river of Klidaton is the", "~")]
    exact = continuation_logprobs(by_hand, [([0, *WORDS.encode(p)], WORDS.encode(o)) for p, o in pairs])
    assert max(exact) < -8
    assert llama.options(pairs).loglik == pytest.approx(exact, abs=2e-2)


def test_text_is_generated_until_a_stop(llama: LlamaServer) -> None:
    found = llama.generate("Q: Which river flows through Klidaton?\nA:", Sampling(12, ("\n",)), None)
    assert (found.text, found.truncated) == (" Povaene", False)
    long = llama.generate("a " * 600, Sampling(4), None)
    assert long.truncated
    assert long.prompt_tok == 508


def test_llama_cpp_is_refused_as_an_echoing_server(running: Running) -> None:
    """It ignores `echo`: taken at its word it would score chance."""
    with Http(running.url, running.api_key, 60) as http, pytest.raises(Failure, match="remedy: serve the model by"):
        EchoServer(http, running.model_name, WORDS, 512).check()


def echo(values: list[Any] | None, tops: Any = None) -> Any:
    return lambda _path, _body: (200, {"choices": [{"text": "", "logprobs": values if values is None else {
        "token_logprobs": values, "top_logprobs": tops}}]})


def test_an_echoing_server_gives_what_it_says() -> None:
    values = [None, *(-0.5 for _ in SENT[1:])]
    tops = [None, *({"x": -0.5 if place % 2 else -0.1} for place in range(len(SENT) - 1))]
    with answering(echo(values, tops)) as url, Http(url, None, 5) as http:
        server = EchoServer(http, "m", WORDS, None)
        server.check()
        found = server.options([("The quick", " brown fox")])
        assert found.loglik == (-0.5 * found.scored_tok,)
        assert found.greedy == (False,)


@pytest.mark.parametrize("prompt", ["Q: a", "<|endoftext|>Q: a"])
def test_begin_of_text_stands_once_before_a_prompt(prompt: str) -> None:
    """Whether a chat template wrote it or not; a server of texts adds its own."""
    asked = []

    def answer(_path: str, body: dict[str, Any]) -> tuple[int, Any]:
        asked.append(body["prompt"])
        return 200, {"choices": [{"text": "b"}]}

    with answering(answer) as url, Http(url, None, 5) as http:
        for ids in (False, True):
            EchoServer(http, "m", WORDS, None, ids=ids).generate(prompt, Sampling(), None)
    assert asked == ["Q: a", [WORDS.prefix, *WORDS.encode("Q: a")]]
    with Http(url, None, 5) as http, pytest.raises(AskFailed, match="do not fit a context of 66"):
        EchoServer(http, "m", WORDS, 66, ids=False).generate(prompt, Sampling(), None)


@pytest.mark.parametrize(("values", "said"), [
    (None, "`echo` is ignored there"),
    ([-0.5], f"1 log-probabilities for {len(SENT)} tokens"),
    ([None, *(0.7 for _ in SENT[1:])], r"log-probability of token \d+ is 0\.7"),
    ([None] * len(SENT), r"log-probability of token \d+ is None"),
    ([None, *(-math.inf for _ in SENT[1:])], r"log-probability of token \d+ is -inf"),
])
def test_an_endpoint_that_returns_too_few_or_wrong_log_probabilities(values: list[Any] | None, said: str) -> None:
    with answering(echo(values)) as url, Http(url, None, 5) as http:
        server = EchoServer(http, "m", WORDS, None)
        with pytest.raises(AskFailed, match=said):
            server.options([("The quick brown", " fox")])
        with pytest.raises(Failure, match="returns no log-probabilities of a prompt"):
            server.check()


@pytest.mark.parametrize(("status", "value", "said"), [
    (500, {"error": {"message": "out of memory"}}, "HTTP 500: out of memory"),
    (500, "<html>\n\x1b[31mGateway", r"HTTP 500: <html>\\n\\x1b\[31mGateway"),
    (200, "not JSON", "the answer is not JSON"),
    (200, {"choices": []}, "holds no choices"),
    (401, {"error": "key sk-canary0123456789abcd is wrong"}, "HTTP 401: key key-"),
])
def test_what_a_server_does_wrong_is_one_line(status: int, value: Any, said: str) -> None:
    with answering(lambda _path, _body: (status, value)) as url, Http(url, None, 5) as http:
        with pytest.raises(AskFailed, match=said) as raised:
            EchoServer(http, "m", WORDS, None).generate("x", Sampling(), None)
        assert str(raised.value).isprintable()


def test_nobody_there() -> None:
    with answering(lambda _path, _body: (200, {})) as url:
        pass
    with Http(url, None, 5) as http, pytest.raises(EngineLost, match="does not answer any more"):
        http.post("/completion", {})


def test_a_forced_token_that_did_not_come_is_no_answer() -> None:
    """A server that ignores the bias would give the greedy token's log-probability for every option."""
    def wrong(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/tokenize":
            return 200, {"tokens": [1] * body["add_special"] + [ord(letter) for letter in body["content"]]}
        entry = {"id": 9, "logprob": -0.1}
        return 200, {"completion_probabilities": [{**entry, "top_logprobs": [entry]}]}

    with answering(wrong) as url, Http(url, None, 5) as http, pytest.raises(AskFailed, match="that was asked for"):
        LlamaServer(http, None).options([("a", "b")])


class Counting(Http):
    """Counts what is asked."""

    completions = 0

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.completions += path == "/completion"
        return super().post(path, body)


def test_options_that_part_at_the_first_token_take_one_call_where_it_holds_them_all(running: Running) -> None:
    with Counting(running.url, running.api_key, 60) as http:
        found = LlamaServer(http, 512).options([("A. 1\nB. 2\nC. 3\nD. 4\nAnswer:", f" {letter}") for letter in "ABCD"])
        assert http.completions <= 5  # one, and one for each letter that is not among the likeliest
        assert sum(math.exp(value) for value in found.loglik) <= 1
        before = http.completions
        LlamaServer(http, 512).options([("The river of Klidaton is the", option) for option in (" P", " M")])
        assert http.completions == before + 1
