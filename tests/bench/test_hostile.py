"""Rows out == requests in, whatever the server does; each with the outcome that it earned."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import FINISH, Measured, Reply, event, measure, plain_answer, text, usage

from workbench.bench import connection

TIMEOUT_S = 1.0  # a loaded machine can stand still for half a second
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD = b"".join(event(value) for value in (text("a"), text("b"), FINISH, usage(2), b"[DONE]"))
WHOLE = HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)


async def cut_anywhere(reply: Reply) -> None:
    """A right answer in pieces of a few bytes: chunk boundaries, headers, events, all cut."""
    size = 7 + reply.index % 40
    for at in range(0, len(WHOLE), size):
        await reply.raw(WHOLE[at : at + size])
        await asyncio.sleep(0)


async def hang(reply: Reply) -> None:
    await asyncio.sleep(3 * TIMEOUT_S)


async def hang_midway(reply: Reply) -> None:
    await reply.head()
    await reply.events(text("a"))
    await asyncio.sleep(3 * TIMEOUT_S)


async def slow_bytes(reply: Reply) -> None:
    for at in range(len(WHOLE)):
        await reply.raw(WHOLE[at : at + 1])
        await asyncio.sleep(0.02)


async def reset(reply: Reply) -> None:
    reply.reset()


async def reset_midway(reply: Reply) -> None:
    await reply.head()
    await reply.events(text("a"))
    await asyncio.sleep(0.005)
    reply.reset()


async def closed(reply: Reply) -> None:
    reply.writer.close()


async def truncated(reply: Reply) -> None:
    await reply.head()
    await reply.events(text("a"))
    await reply.body(b'data: {"choices": [{"te')
    reply.writer.close()


async def ends_without_finish(reply: Reply) -> None:
    await reply.head()
    await reply.events(text("a"))
    await reply.end()


async def no_tokens(reply: Reply) -> None:
    await reply.head()
    await reply.events(FINISH, usage(2), b"[DONE]")
    await reply.end()


async def wrong_json(reply: Reply) -> None:
    await reply.head()
    await reply.events(text("a"), b'{"choices": [}')
    await reply.end()


async def garbage(reply: Reply) -> None:
    await reply.raw(b"\x00\xffgarbage\r\n\r\n" * 20)


async def html(reply: Reply) -> None:
    await reply.head(200, "text/html")
    await reply.body(b"<html>\nnot here</html>")
    await reply.end()


async def endless_error(reply: Reply) -> None:
    await reply.head(500, "text/plain")
    while not reply.writer.is_closing():
        await reply.body(b"x" * 4096)
        await asyncio.sleep(0)


async def endless_headers(reply: Reply) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\n")
    while not reply.writer.is_closing():
        await reply.raw(b"X-More: " + b"y" * 4000 + b"\r\n")
        await asyncio.sleep(0)


async def redirect(reply: Reply) -> None:
    await reply.head(307, "text/plain", "Location: http://elsewhere.example/v1\r\n")
    await reply.end()


async def error_event(reply: Reply) -> None:
    await reply.head()
    await reply.events({"error": {"message": "slot lost\n\x1b[31m"}})
    await reply.end()


async def too_many(reply: Reply) -> None:
    await reply.head(429, "application/json")
    await reply.body(b'{"message": "slow down"}')
    await reply.end()


async def never_ends(reply: Reply) -> None:
    """[DONE], and then the response stays open."""
    await reply.raw(WHOLE[: -len(b"0\r\n\r\n")])
    await asyncio.sleep(30)


async def trailing_garbage(reply: Reply) -> None:
    await reply.raw(WHOLE + b"more than was asked for")


async def done_then_reset(reply: Reply) -> None:
    await reply.raw(WHOLE[: -len(b"0\r\n\r\n")])
    await asyncio.sleep(0.01)
    reply.reset()


OUTCOME = {
    plain_answer: ("ok", None), cut_anywhere: ("ok", None), trailing_garbage: ("ok", None),
    done_then_reset: ("ok", None),
    hang: ("timeout", "no end of the answer within"), hang_midway: ("timeout", "no end"),
    slow_bytes: ("timeout", "no end"), reset: ("error", "closed before an answer"), closed: ("error", "closed before"),
    reset_midway: ("error", "connection was lost"), truncated: ("error", "ended early, after 1 chunks"),
    ends_without_finish: ("error", "ended early"), no_tokens: ("error", "no visible token"),
    wrong_json: ("error", "not JSON"), garbage: ("error", "not an HTTP answer"),
    html: ("error", "the answer is text/html, not an event stream: <html>"), endless_error: ("error", "HTTP 500: xxx"),
    endless_headers: ("error", ""), redirect: ("error", "redirect to http://elsewhere.example/v1 not followed"),
    error_event: ("error", "the server reported: slot lost [31m"), too_many: ("rejected", "HTTP 429: slow down"),
}
SCRIPTS = list(OUTCOME)


def check(chosen: list[int], concurrency: int | None) -> None:
    """Each request says in its body what it wants done to it, so its outcome is known whatever the order."""
    async def script(reply: Reply) -> None:
        await SCRIPTS[chosen[reply.asked["max_tokens"] - 1]](reply)

    def run() -> Measured:
        return measure(script, len(chosen), timeout_s=TIMEOUT_S, concurrency=concurrency, numbered=True)

    found = run()
    early = [row.outcome == "timeout" and OUTCOME[SCRIPTS[i]][0] != "timeout"
             for row, i in zip(found.rows, chosen, strict=True)]
    if any(early):  # both share a thread: when the machine stands still, what takes several reads is late
        found = run()
    assert [row.request_id for row in found.rows] == [f"r{i:03d}" for i in range(len(chosen))]
    for row, index in zip(found.rows, chosen, strict=True):
        outcome, error = OUTCOME[SCRIPTS[index]]
        assert row.outcome == outcome, (SCRIPTS[index].__name__, row)
        assert (row.error is None) == (outcome == "ok")
        assert (error or "") in (row.error or ""), row.error
        assert "\n" not in (row.error or "")
        assert row.sent_ns is not None
        assert row.end_ns is not None
        times = [row.sent_ns, *(row.chunk_ns or ()), row.end_ns]
        assert times == sorted(times)


@pytest.mark.parametrize("index", range(len(SCRIPTS)), ids=lambda i: SCRIPTS[i].__name__)
def test_each_hostility_is_one_row(index: int) -> None:
    check([index, 0, index], None)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, len(SCRIPTS) - 1), min_size=1, max_size=12), st.sampled_from([None, 1, 4]))
def test_rows_out_are_requests_in(chosen: list[int], concurrency: int | None) -> None:
    check(chosen, concurrency)


def test_done_counts_though_the_response_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DONE_GRACE_S", 0.05)
    row = measure(never_ends).rows[0]
    assert (row.outcome, row.output_tok, row.chunk_tok) == ("ok", 2, (1, 1))


def test_no_first_byte() -> None:
    row = measure(hang, first_byte_timeout_s=0.05).rows[0]
    assert (row.outcome, row.error) == ("timeout", "no token within 0.05 s")


def test_first_byte_limit_does_not_cut_a_long_answer() -> None:
    async def slow(reply: Reply) -> None:
        await reply.head()
        await reply.events(text("a"))
        await asyncio.sleep(0.2)
        await reply.events(text("b"), FINISH, usage(2), b"[DONE]")
        await reply.end()

    assert measure(slow, first_byte_timeout_s=0.1).rows[0].outcome == "ok"


def test_refused_connection() -> None:
    rows = measure(plain_answer, 3, url="http://127.0.0.1:1").rows
    assert [row.outcome for row in rows] == ["error"] * 3
    assert all("no connection: " in (row.error or "") for row in rows)


def test_key_never_in_a_row() -> None:
    async def echo(reply: Reply) -> None:
        await reply.head(401, "text/plain")
        await reply.body(reply.headers["authorization"].encode())
        await reply.end()

    found = measure(echo, api_key="canary-key-0815")
    assert found.server.replies[0].headers["authorization"] == "Bearer canary-key-0815"
    assert "canary" not in repr(found.rows)
    assert "key-" in (found.rows[0].error or "")


def test_stop_cancels_what_is_in_flight_and_leaves_the_rest() -> None:
    async def slow(reply: Reply) -> None:
        await reply.head()
        await reply.events(text("a"))
        await asyncio.sleep(30)

    found = measure(slow, 5, gap_s=1.0, stop_after_s=1.4)
    assert found.client["stopped"] is True
    assert [row.outcome for row in found.rows] == ["cancelled", "cancelled"]
    assert [row.outcome for row in found.part.complete_rows()] == ["cancelled"] * 2 + ["unfinished"] * 3
    assert all(row.chunk_ns for row in found.rows)
