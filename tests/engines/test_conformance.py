"""One contract, held by every engine that is launched: what the load generator relies on."""

import stat
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from engine_client import events, post

import engines

PROMPTS: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": [40, 41, 42, 43, 44, 45]},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "h e l l o"}]},
}
PATHS = list(PROMPTS)
USAGE = {"stream_options": {"include_usage": True}, "temperature": 0}


@pytest.fixture(params=["llama.cpp", "fake"])
def engine(request: pytest.FixtureRequest, llama: engines.Running, fake: engines.Running) -> engines.Running:
    return {"llama.cpp": llama, "fake": fake}[request.param]


def _text(event: dict[str, Any]) -> str:
    parts = ({**choice, **choice.get("delta", {})} for choice in event["choices"])
    return "".join(part.get("text") or part.get("content") or "" for part in parts)


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_is_tokens_then_reason_then_usage_then_done(engine: engines.Running, path: str) -> None:
    found, last = events(engine, path, {**PROMPTS[path], **USAGE, "max_tokens": 7, "ignore_eos": True})
    assert last == "[DONE]"
    assert sum(1 for event in found if _text(event)) == 7
    reasons = [choice["finish_reason"] for event in found for choice in event["choices"] if choice["finish_reason"]]
    assert reasons == ["length"]
    usage = [event["usage"] for event in found if event.get("usage")]
    assert len(usage) == 1
    assert usage[0]["completion_tokens"] == 7
    assert usage[0]["total_tokens"] == usage[0]["prompt_tokens"] + 7


def test_a_prompt_of_ids_has_that_many_tokens(engine: engines.Running) -> None:
    for length in (1, 5, 100):
        answer = post(engine, "/v1/completions", {"prompt": [50] * length, "max_tokens": 1, "ignore_eos": True})
        assert answer.json()["usage"]["prompt_tokens"] == length


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("most", [1, 2, 40])
def test_max_tokens_is_obeyed(engine: engines.Running, path: str, most: int) -> None:
    answer = post(engine, path, {**PROMPTS[path], "max_tokens": most, "ignore_eos": True}).json()
    assert answer["usage"]["completion_tokens"] == most
    assert answer["choices"][0]["finish_reason"] == "length"


def test_the_same_question_gets_the_same_answer(engine: engines.Running) -> None:
    body = {"prompt": [60, 61, 62], "max_tokens": 12, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    first, second = (post(engine, "/v1/completions", body).json()["choices"][0]["text"] for _ in range(2))
    assert first
    assert first == second


def test_a_stream_says_what_the_whole_answer_says(engine: engines.Running) -> None:
    body = {"prompt": [60, 61, 62], "max_tokens": 12, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    whole = post(engine, "/v1/completions", body).json()["choices"][0]["text"]
    found, _ = events(engine, "/v1/completions", body)
    assert "".join(map(_text, found)) == whole


def test_the_model_is_listed(engine: engines.Running) -> None:
    assert [entry["id"] for entry in engine.get("/v1/models")["data"]] == [engine.model_name]


def test_too_long_is_refused_not_lost(engine: engines.Running) -> None:
    answer = post(engine, "/v1/completions", {"prompt": [50] * 600, "max_tokens": 5})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_nonsense_is_refused(engine: engines.Running) -> None:
    headers = {"Authorization": f"Bearer {engine.api_key}"}
    answer = httpx.post(engine.url + "/v1/completions", content=b"{not json", headers=headers)
    assert 400 <= answer.status_code <= 500
    assert engine.alive()


def test_it_listens_on_loopback_only(engine: engines.Running) -> None:
    assert engine.pid is not None
    process = psutil.Process(engine.pid)
    keeper = process.parent()
    assert keeper is not None
    tree = [keeper, *keeper.children(recursive=True)]
    listening = [c.laddr for p in tree for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == ["127.0.0.1"]


def test_the_key_is_on_no_command_line_no_environment_and_no_disk(engine: engines.Running) -> None:
    assert engine.pid is not None
    assert engine.log_path is not None
    assert engine.api_key is not None
    process = psutil.Process(engine.pid)
    assert engine.api_key not in " ".join(process.cmdline()) + str(process.environ())
    assert engine.api_key not in engine.log
    assert not Path(process.cmdline()[-1]).exists()  # CONFIG.json is gone once it was read
    assert stat.S_IMODE(engine.log_path.stat().st_mode) == 0o600


def test_no_key_no_answer(engine: engines.Running) -> None:
    assert httpx.post(engine.url + "/v1/completions", json={"prompt": "a"}).status_code == 401


def test_its_counters_move(engine: engines.Running) -> None:
    before = engine.metrics()
    body = {"prompt": [40, 50, 60], "max_tokens": 4, "ignore_eos": True, "cache_prompt": False}
    post(engine, "/v1/completions", body)
    after = engine.metrics()
    assert after["generated_tok"] - before["generated_tok"] == 4
    assert after["prompt_tok"] - before["prompt_tok"] == 3
    assert after["running"] == after["waiting"] == 0


@pytest.mark.parametrize(("prompt", "out"), [(1, 1), (64, 3), (65, 1), (200, 5)])
def test_a_long_prompt_is_cut_at_n_batch(engine: engines.Running, prompt: int, out: int) -> None:
    n_batch = engine.facts["n_batch"].seen
    before = engine.metrics()["iterations"]
    body = {"prompt": [70 + prompt % 7] * prompt, "max_tokens": out, "ignore_eos": True, "cache_prompt": False}
    post(engine, "/v1/completions", body)
    # the iteration that ends the prompt gives the first token
    assert engine.metrics()["iterations"] - before == -(-prompt // n_batch) + out - 1


def test_rules_seen_are_rules_asked(engine: engines.Running) -> None:
    for name in ("slots", "n_batch", "n_ubatch", "ctx_per_slot_tok"):
        fact = engine.facts[name]
        assert fact.asked == fact.seen, name
        assert fact.seen_via
