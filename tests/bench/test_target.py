"""URLs, keys and request bodies: what is sent, and what is refused before anything is sent."""

import json
from typing import Any

import pytest

from workbench.bench.request import body, with_head
from workbench.bench.target import Target
from workbench.errors import UsageError
from workbench.runlog.schema import Planned

PLANNED = Planned("r0", 0, 3, 5)


@pytest.mark.parametrize(
    ("url", "api", "host", "port", "path"),
    [
        ("http://127.0.0.1:8080", "completions", "127.0.0.1", 8080, "/v1/completions"),
        ("http://localhost:80/v1/", "chat", "localhost", 80, "/v1/chat/completions"),
        ("https://api.example.com/openai/v1", "chat", "api.example.com", 443, "/openai/v1/chat/completions"),
        ("https://x.example/v1/chat/completions", "chat", "x.example", 443, "/v1/chat/completions"),
        ("https://x.example/v1beta", "completions", "x.example", 443, "/v1beta/completions"),
        ("http://[::1]:9", "completions", "::1", 9, "/v1/completions"),
    ],
)
def test_urls(url: str, api: Any, host: str, port: int, path: str) -> None:
    place = Target(url, "m", api).endpoint
    assert (place.host, place.port, place.path, place.tls) == (host, port, path, url.startswith("https"))


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "localhost:80", "http://u:p@x", "http://x?k=v", "http://x:99999", "http://x:0",
            "http://a b", "http://x#f"],
)
def test_urls_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Target(url, "m")
    assert "\n" not in str(caught.value)


def test_a_key_does_not_cross_the_network_in_the_clear() -> None:
    with pytest.raises(UsageError, match="--allow-plain-http"):
        Target("http://10.0.0.1", "m", api_key="secret")
    Target("http://10.0.0.1", "m", api_key="secret", allow_plain_http=True)
    Target("https://10.0.0.1", "m", api_key="secret")
    Target("http://127.0.0.9", "m", api_key="secret")


@pytest.mark.parametrize("key", ["two\nlines", "umlaut-ä", ""])
def test_keys_that_no_header_may_carry(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        Target("http://127.0.0.1", "m", api_key=key)
    assert not key or key not in str(caught.value)


def test_key_is_not_in_the_repr() -> None:
    assert "sesame" not in repr(Target("http://127.0.0.1", "m", api_key="sesame"))


@pytest.mark.parametrize("name", ["timeout_s", "connect_timeout_s", "first_byte_timeout_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_times_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Target("http://127.0.0.1", "m", **{name: value})


def test_body_asks_for_one_length_greedily_with_usage() -> None:
    sent = json.loads(body(Target("http://127.0.0.1", "m", ignore_eos=True), PLANNED, [1, 2, 3]))
    assert sent == {
        "model": "m", "prompt": [1, 2, 3], "max_tokens": 5, "temperature": 0, "stream": True,
        "stream_options": {"include_usage": True}, "ignore_eos": True,
    }


def test_chat_body_takes_text_only() -> None:
    target = Target("http://127.0.0.1", "m", "chat")
    assert json.loads(body(target, PLANNED, "hi"))["messages"] == [{"role": "user", "content": "hi"}]
    with pytest.raises(UsageError, match="takes text"):
        body(target, PLANNED, [1])


def test_extra_body_adds_replaces_and_with_null_removes() -> None:
    extra = {"cache_prompt": False, "temperature": 1, "stream_options": None}
    sent = json.loads(body(Target("http://127.0.0.1", "m", extra_body=extra), PLANNED, "x"))
    assert (sent["cache_prompt"], sent["temperature"]) == (False, 1)
    assert "stream_options" not in sent


def test_head() -> None:
    head, _, content = with_head(Target("http://[::1]:7", "m", api_key="k"), b"{}").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/completions HTTP/1.1"
    assert {"Host: [::1]:7", "Content-Length: 2", "Authorization: Bearer k"} <= set(lines)
    assert content == b"{}"
