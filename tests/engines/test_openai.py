"""Any endpoint by URL: what it tells is kept, what it does not tell is null, and what it is not is one line."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import engines
from workbench.errors import ConfigError, Failure, UsageError


def _connect(tmp_path: Path, **options: Any) -> engines.Running:
    return engines.launch("openai", None, options, log_dir=tmp_path)


def test_our_fake_as_an_endpoint(fake: engines.Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fake.api_key is not None
    monkeypatch.setenv("FAKE_KEY", fake.api_key)
    with _connect(tmp_path, url=f"{fake.url}/v1/", api_key_env="FAKE_KEY") as running:
        assert (running.url, running.model_name, running.pid) == (fake.url, "fake", None)
        assert running.facts["model"] == engines.Fact(None, "fake", "/v1/models")
        assert running.facts["slots"] == engines.Fact(None, None, None)
        assert running.alive()
    assert fake.alive()  # stopping an endpoint is not ours to do
    assert fake.api_key not in repr(running)


def test_llama_cpp_as_an_endpoint_tells_its_context(llama: engines.Running, tmp_path: Path) -> None:
    running = _connect(tmp_path, url=llama.url, api_key=llama.api_key, model=llama.model_name)
    assert running.facts["ctx_per_slot_tok"] == engines.Fact(None, 512, "/v1/models")


def test_a_wrong_key_and_a_wrong_model_are_named(fake: engines.Running, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="HTTP 401: the key is missing or wrong"):
        _connect(tmp_path, url=fake.url, api_key="guess")
    with pytest.raises(UsageError, match="model 'gpt' is not served there; it has: fake"):
        _connect(tmp_path, url=fake.url, api_key=fake.api_key, model="gpt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://x"}, "url: 'ftp://x': not an http"),
        ({"url": "http://user:secret@127.0.0.1"}, "no user, query or fragment"),
        ({"url": "http://example.org", "api_key": "k" * 10}, "a key over plain http"),
        ({"url": "http://127.0.0.1", "api_key_env": "NO_SUCH_VARIABLE_HERE"}, "NO_SUCH_VARIABLE_HERE is not set"),
        ({"url": "http://127.0.0.1", "modell": "x"}, "did you mean 'model'"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        _connect(tmp_path, **options)


class _Scripted(BaseHTTPRequestHandler):
    answer: tuple[int, bytes] = (200, b"")

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def scripted() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Scripted)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, b"boom"), "HTTP 500; is this an OpenAI-compatible endpoint"),
        ((302, b""), "HTTP 302"),  # a redirect would carry the key elsewhere
        ((200, b"<html>"), "not an OpenAI model list"),
        ((200, b"[1]"), "not an OpenAI model list"),
        ((200, b'{"data": []}'), "it serves no model"),
        ((200, b'{"data": [{"id": "a"}, {"id": "b"}]}'), "serves 2 models; name one: a, b"),
    ],
)
def test_what_is_no_such_endpoint_is_one_line(
    scripted: str, answer: tuple[int, bytes], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Scripted, "answer", answer)
    with pytest.raises((Failure, UsageError), match=message):
        _connect(tmp_path, url=scripted)


def test_vllm_tells_its_context(scripted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = b'{"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2048}]}'
    monkeypatch.setattr(_Scripted, "answer", (200, listed))
    facts = _connect(tmp_path, url=scripted).facts
    assert facts["ctx_per_slot_tok"].seen == 2048
    assert facts["served_by"].seen == "vllm"


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no answer: .*is it running"):
        _connect(tmp_path, url="http://127.0.0.1:9")
