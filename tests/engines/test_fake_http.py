"""The fake engine's HTTP: whatever the pieces a request comes in, and whatever nonsense comes instead."""

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import http
from engines.fake.api import FakeApi
from engines.fake.driver import Driver
from engines.fake.times import PlainCost
from engines.http import Connection
from sims.replica import Replica
from sims.rules import LlamaCppRules

KEY = "a-key"
BODY = b'{"prompt": [1, 2, 3], "max_tokens": 3, "ignore_eos": true, "stream": true, "arrival_ns": 1}'


def _post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /v1/completions HTTP/1.1", "Host: 127.0.0.1:80", f"Authorization: Bearer {KEY}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _converse(pieces: Sequence[bytes]) -> bytes:
    """Everything that a fresh server answers to the pieces, each sent when the one before was taken."""
    driver = Driver(Replica(LlamaCppRules(), PlainCost()), "virtual")
    api = FakeApi(driver, "fake", KEY, "")
    server = await asyncio.get_running_loop().create_server(lambda: Connection(api.serve), "127.0.0.1", 0)
    iterating = asyncio.create_task(driver.run())
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 20)  # each conversation ends in a close
        writer.close()
    iterating.cancel()
    return answer


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % len(data) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_the_answer_does_not_depend_on_the_pieces(places: list[int]) -> None:
    request = _post(BODY, "Connection: close")
    assert asyncio.run(_converse(_cut(request, places))) == asyncio.run(_converse([request]))


def test_a_connection_serves_one_request_after_another() -> None:
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = health.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = asyncio.run(_converse([health, health, last]))
    assert answer.count(b'{"status":"ok"}') == 3


def _status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d+) ", answer)
    assert found is not None, answer
    return int(found[1])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS knocks at a plain port
        (_post(b"{}", f"X-Long: {'a' * http.HEADER_BYTES}"), 431),
        (_post(b"[", "Connection: close"), 400),
        (_post(BODY, "Connection: close").replace(KEY.encode(), b"other"), 401),
        (_post(BODY, "Connection: close").replace(b"Host: 127.0.0.1:80\r\n", b""), 403),
    ],
)
def test_nonsense_gets_a_status_and_a_close(request_: bytes, status: int) -> None:
    assert _status(asyncio.run(_converse([request_]))) == status


def test_a_body_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_BYTES", 10)
    assert _status(asyncio.run(_converse([_post(BODY)]))) == 413


def test_a_second_request_before_the_first_is_answered_is_not_taken() -> None:
    assert asyncio.run(_converse([_post(BODY) + _post(BODY)])) == b""
