"""The real server: starts, says what it does, lets nobody else in, and leaves nothing behind."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from engine_client import post

import engines
from engines.llama_cpp.options import LlamaCppOptions
from workbench.errors import ConfigError, Failure, UsageError
from workbench.models import ModelFile


def test_facts_asked_are_facts_seen(llama: engines.Running) -> None:
    asked = {"slots": 3, "n_batch": 64, "n_ubatch": 32, "ctx_per_slot_tok": 512, "kv_type": "f16",
             "kv_unified": False, "threads": 1, "warmup": True, "http_threads": 256}
    assert {name: (fact.asked, fact.seen) for name, fact in llama.facts.items() if name in asked} == {
        name: (value, value) for name, value in asked.items()
    }
    assert llama.facts["slots"].seen_via == "/props"
    assert llama.facts["n_batch"].seen_via == "log at start"
    assert llama.facts["version"].seen == llama.version
    json.dumps(engines.facts_as_dict(llama.facts))


def test_a_fact_that_differs_is_shown_as_it_is(model: Path, tmp_path: Path) -> None:
    options = {"ctx_per_slot_tok": 8192, "slots": 1, "kv_type": "q8_0", "kv_unified": True}
    with engines.launch("llama.cpp", model, options, log_dir=tmp_path) as running:
        assert running.facts["ctx_per_slot_tok"] == engines.Fact(8192, 4096, "/slots")  # the model declares 4,096
        assert running.facts["kv_type"].seen == "q8_0"
        assert running.facts["kv_unified"].seen is True


def test_only_the_key_holder_gets_in(llama: engines.Running) -> None:
    for path in ("/v1/models", "/props", "/slots", "/metrics"):
        assert httpx.get(llama.url + path).status_code == 401
        assert llama.get_text(path)
    refused = httpx.post(llama.url + "/v1/completions", json={"prompt": "a"}, headers={"Authorization": "Bearer guess"})
    assert refused.status_code == 401
    assert llama.api_key is not None
    assert llama.api_key not in repr(llama)


def test_other_origins_are_not_answered(llama: engines.Running) -> None:
    headers = {"Origin": "http://evil.example", "Authorization": f"Bearer {llama.api_key}"}
    answer = httpx.get(llama.url + "/v1/models", headers=headers)
    assert answer.headers.get("access-control-allow-origin", "") == ""


def test_secrets_of_the_parent_stay_there(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_API_KEY", "canary-3141592653")
    with engines.launch("llama.cpp", model, {}, log_dir=tmp_path) as running:
        assert running.pid is not None
        seen = psutil.Process(running.pid).environ()
    assert "CANARY_API_KEY" not in seen
    assert seen["DO_NOT_TRACK"] == "1"


def test_requests_move_its_counters(llama: engines.Running) -> None:
    before = llama.metrics()
    body = {"prompt": "a b c d", "max_tokens": 5, "ignore_eos": True, "cache_prompt": False}
    answer = httpx.post(
        llama.url + "/v1/completions", json=body, headers={"Authorization": f"Bearer {llama.api_key}"}, timeout=30
    )
    after = llama.metrics()
    assert after["generated_tok"] - before["generated_tok"] == 5
    assert after["prompt_tok"] - before["prompt_tok"] == answer.json()["usage"]["prompt_tokens"]
    assert not any("print_timing" in line for line in llama.log_tail(50))  # quiet once it serves


def test_a_model_file_keeps_its_name_and_answers(shipped: ModelFile, tmp_path: Path) -> None:
    with engines.launch("llama.cpp", shipped, {}, log_dir=tmp_path) as running:
        assert running.model_name == "tiny"
        body = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 8}
        answer = post(running, "/v1/chat/completions", body).json()
        assert answer["model"] == "tiny"
        assert answer["choices"][0]["message"]["content"]


def test_waiting_streams_do_not_keep_others_from_being_heard(llama: engines.Running) -> None:
    body = {"prompt": [50, 51, 52], "max_tokens": 400, "ignore_eos": True, "stream": True}
    headers = {"Authorization": f"Bearer {llama.api_key}"}
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(limits=httpx.Limits(max_connections=40), timeout=30))
        for _ in range(3):  # every slot is busy, then more streams wait than llama.cpp has threads by default
            stack.enter_context(client.stream("POST", llama.url + "/v1/completions", json=body, headers=headers))
        address = (httpx.URL(llama.url).host, httpx.URL(llama.url).port or 0)
        for _ in range(30):
            waiting = stack.enter_context(socket.create_connection(address))
            text = json.dumps({**body, "max_tokens": 1})
            waiting.sendall(
                f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {llama.api_key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
            )
        assert llama.get_text("/health") is not None
        assert llama.metrics()


def test_stop_leaves_nothing_and_may_be_called_twice(model: Path, tmp_path: Path) -> None:
    running = engines.launch("llama.cpp", model, {}, log_dir=tmp_path)
    assert running.alive()
    assert running.pid is not None
    tree = [psutil.Process(running.pid).parent(), psutil.Process(running.pid)]
    running.stop()
    running.stop()
    assert not running.alive()
    assert not any(process is not None and process.is_running() for process in tree)


def test_a_corrupt_model_is_one_line_with_the_engines_words(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model.read_bytes()[:-1000])
    with pytest.raises(Failure, match=r"ended at start \(exit code 1\).*not within the file bounds") as caught:
        engines.launch("llama.cpp", broken, {}, log_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_an_engine_that_takes_too_long_is_given_up_and_ended(model: Path, tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(Failure, match=r"was not ready within 0\.001 s"):
        engines.launch("llama.cpp", model, {}, log_dir=tmp_path, timeout_s=0.001)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_log_folder_that_cannot_be_is_one_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="no log can be written there: "):
        engines.launch("llama.cpp", model, {}, log_dir=tmp_path / "file")


def test_a_taken_port_is_one_line(model: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=rf"port {port}: Address already in use; leave"):
            engines.launch("llama.cpp", model, {"port": port}, log_dir=tmp_path)


def test_a_missing_model_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model file; `workbench models list`"):
        engines.launch("llama.cpp", tmp_path / "none.gguf", {}, log_dir=tmp_path)
    with pytest.raises(UsageError, match="needs a model file"):
        engines.launch("llama.cpp", None, {}, log_dir=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slotz": 4}, "options of llama.cpp: slotz: unknown key; did you mean 'slots'"),
        ({"slots": 0}, "options of llama.cpp: slots: 0: "),
        ({"n_ubatch": 1024}, "n_ubatch 1024 is larger than n_batch 512"),
        ({"slots": 8, "n_batch": 4, "n_ubatch": 4}, "n_batch 4 is less than slots 8"),
        ({"kv_type": "q8_0", "flash_attention": "off"}, "kv_type q8_0 needs flash_attention"),
    ],
)
def test_wrong_options_name_the_key(options: dict[str, object], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        engines.launch("llama.cpp", model, options, log_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_option_says_what_it_is() -> None:
    assert all(item.description for item in LlamaCppOptions.model_fields.values())
