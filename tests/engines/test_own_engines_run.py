"""Engines in environments of their own, really run. `workbench engines install NAME` makes these tests run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import engines
from engines import own
from engines.record import Engine
from workbench.bench.run import run
from workbench.flows.engine_check import PROMPT, TOKENS, check
from workbench.flows.engine_models import model_for
from workbench.flows.launched import provenance_of, target_of
from workbench.models import untrained
from workbench.models.forward import Llama
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
